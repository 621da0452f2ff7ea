import { stat } from 'node:fs/promises';
import type { DomainDefinition } from '@vmferry/domain';
import { type Capabilities, emulatorDefault, probe } from '@vmferry/hypervisor';
import type { Clock } from '@vmferry/seams';

/**
 * Asks an emulator once as long as its file stays the same: the probe takes 0.2 s, a Prepare should take 0.1. KVM is tried when the
 * first domain asks for it.
 */
export class CapabilityCache {
  readonly #clock: Clock;
  readonly #emulator: string;
  readonly #known = new Map<string, Promise<Capabilities>>();

  constructor(clock: Clock, emulator: string | undefined) {
    this.#clock = clock;
    this.#emulator = emulator ?? emulatorDefault;
  }

  async of({ emulator = this.#emulator, type }: Pick<DomainDefinition, 'emulator' | 'type'>): Promise<Capabilities> {
    const kvm = type === 'kvm';
    const file = await stat(emulator).catch(() => null);
    const key = `${emulator} ${file?.mtimeMs ?? 'missing'} ${kvm}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const asked = probe({ emulator, clock: this.#clock, kvm });
    this.#known.set(key, asked);
    // A probe that failed is not kept: what was wrong may be mended.
    asked.catch(() => this.#known.delete(key));
    return asked;
  }
}
