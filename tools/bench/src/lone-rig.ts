import { join } from 'node:path';
import type { DomainDefinition } from '@vmferry/domain';
import type { TickListener } from '@vmferry/guest-image';
import type { Capabilities } from '@vmferry/hypervisor';
import type { Apps } from './app-meter.js';
import { LoneQemu } from './lone-qemu.js';
import { migrateByQmpAlone, type Operator } from './qmp-alone.js';
import type { Rig, Way } from './rig.js';

const bootDeadlineMs = 60_000;

/** The control: the same guest under the same command line, migrated by this script through QMP alone, from QEMU to QEMU. */
export class LoneRig implements Rig {
  readonly ticks: TickListener;
  readonly #definition: DomainDefinition;
  readonly #capabilities: Capabilities;
  readonly #folder: string;
  #qemu: LoneQemu;
  #started = 1;

  private constructor(
    definition: DomainDefinition,
    capabilities: Capabilities,
    folder: string,
    ticks: TickListener,
    qemu: LoneQemu,
  ) {
    this.#definition = definition;
    this.#capabilities = capabilities;
    this.#folder = folder;
    this.ticks = ticks;
    this.#qemu = qemu;
  }

  /** Boots the guest; it is paused then. */
  static async start(
    definition: DomainDefinition,
    capabilities: Capabilities,
    folder: string,
    ticks: TickListener,
  ): Promise<LoneRig> {
    const qemu = await LoneQemu.start(definition, capabilities, join(folder, 'q0'), false);
    const rig = new LoneRig(definition, capabilities, folder, ticks, qemu);
    try {
      await rig.wake();
      await ticks.waitForTick(() => true, bootDeadlineMs);
      await rig.rest();
    } catch (error) {
      await rig.close();
      throw error;
    }
    return rig;
  }

  way(name: string, operator: Operator): Way {
    return { name, rig: this, migrate: (figures) => this.#migrate(operator, figures) };
  }

  async wake(): Promise<void> {
    await this.#qemu.qmp.execute('cont', {});
  }

  async rest(): Promise<void> {
    await this.#qemu.qmp.execute('stop', {});
  }

  source(): Promise<{ pid: number; spareMonitor: string }> {
    const { pid, spareMonitor } = this.#qemu;
    return Promise.resolve({ pid, spareMonitor });
  }

  /** This script's own: in the other rigs the same time is the client's, and left out. */
  cpuSeconds(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }

  apps(): Apps {
    return { relays: [], agents: [] };
  }

  async close(): Promise<void> {
    await this.#qemu.end();
  }

  /** Each QEMU has a folder of its own, so a way back is a way to the next one. */
  async #migrate(operator: Operator, figures: Promise<unknown>): Promise<void> {
    const source = this.#qemu;
    const destination = await LoneQemu.start(
      this.#definition,
      this.#capabilities,
      join(this.#folder, `q${this.#started++}`),
      true,
    );
    try {
      await migrateByQmpAlone(source, destination, operator);
      await figures;
    } catch (error) {
      await destination.end();
      throw error;
    }
    this.#qemu = destination;
    await source.end();
  }
}
