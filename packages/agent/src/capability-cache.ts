import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DomainDefinition } from '@vmferry/domain';
import { type Capabilities, emulatorDefault, probe } from '@vmferry/hypervisor';
import type { Clock } from '@vmferry/seams';

interface CapabilityCacheOptions {
  readonly clock: Clock;
  readonly emulator: string | undefined;
  /** Its probes' folders are made here, named after the app. */
  readonly runtimeDir: string;
  readonly app: string;
}

const probePrefix = (app: string) => `${app}.probe-`;

/**
 * Asks an emulator once as long as its file stays the same: the probe takes 0.2 s, a Prepare should take 0.1. KVM is tried when the
 * first domain asks for it.
 */
export class CapabilityCache {
  readonly #clock: Clock;
  readonly #emulator: string;
  readonly #folderPrefix: string;
  readonly #known = new Map<string, Promise<Capabilities>>();

  private constructor({ clock, emulator, runtimeDir, app }: CapabilityCacheOptions) {
    this.#clock = clock;
    this.#emulator = emulator ?? emulatorDefault;
    this.#folderPrefix = join(runtimeDir, probePrefix(app));
  }

  /** Removes what probes have left of an earlier life of the app, which was killed meanwhile. */
  static async open(options: CapabilityCacheOptions): Promise<CapabilityCache> {
    const { runtimeDir, app } = options;
    const left = (await readdir(runtimeDir)).filter((name) => name.startsWith(probePrefix(app)));
    for (const name of left) await rm(join(runtimeDir, name), { recursive: true, force: true });
    return new CapabilityCache(options);
  }

  async of({ emulator = this.#emulator, type }: Pick<DomainDefinition, 'emulator' | 'type'>): Promise<Capabilities> {
    const kvm = type === 'kvm';
    const file = await stat(emulator).catch(() => null);
    const key = `${emulator} ${file?.mtimeMs ?? 'missing'} ${kvm}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const asked = probe({ emulator, clock: this.#clock, kvm, folderPrefix: this.#folderPrefix });
    this.#known.set(key, asked);
    // A probe that failed is not kept: what was wrong may be mended.
    asked.catch(() => this.#known.delete(key));
    return asked;
  }
}
