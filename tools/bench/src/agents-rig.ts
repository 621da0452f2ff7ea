import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TickListener } from '@vmferry/guest-image';
import { Host } from '@vmferry/lab';
import type { Apps } from './app-meter.js';
import { cpuSecondsOfAll } from './process-time.js';
import type { Rig, Way } from './rig.js';

const bootDeadlineMs = 60_000;
/** Outside of the range that the kernel hands out; on loopback, where nobody else is. */
const ports = { migrationPorts: '24152-24215', insecureMigrationPorts: true } as const;

/** Two hosts of vmferry, each with its three apps, and a guest that goes from one to the other and back. */
export class AgentsRig implements Rig {
  readonly ticks: TickListener;
  readonly #domain: string;
  #here: Host;
  #there: Host;

  private constructor(here: Host, there: Host, domain: string, ticks: TickListener) {
    this.#here = here;
    this.#there = there;
    this.#domain = domain;
    this.ticks = ticks;
  }

  /** Starts the hosts in `folders` and boots the guest on the first; it is paused then. */
  static async start(folders: readonly [string, string], domain: string, xml: string, ticks: TickListener): Promise<AgentsRig> {
    const [here, there] = folders.map((folder, index) => new Host({ name: `bench${index + 1}`, folder, ...ports }));
    if (here === undefined || there === undefined) throw new Error('A migration needs two hosts.');
    const rig = new AgentsRig(here, there, domain, ticks);
    try {
      await here.start();
      await there.start();
      await here.sourceClient().createDomain({ xml });
      await here.sourceClient().start(domain);
      await ticks.waitForTick(() => true, bootDeadlineMs);
      await rig.rest();
    } catch (error) {
      await rig.close();
      throw error;
    }
    return rig;
  }

  /** With a `tcp:` URI the destination's QEMU listens. */
  way(name: string, flags: readonly string[], uri?: string): Way {
    return { name, rig: this, migrate: () => this.#migrate({ flags: [...flags], ...(uri === undefined ? {} : { uri }) }) };
  }

  async wake(): Promise<void> {
    await this.#here.sourceClient().resume(this.#domain);
  }

  async rest(): Promise<void> {
    await this.#here.sourceClient().suspend(this.#domain);
  }

  async source(): Promise<{ pid: number; spareMonitor: string }> {
    const { pid } = await this.#here.sourceClient().domain(this.#domain);
    const [folder] = await readdir(this.#here.runtimeDir);
    if (pid === null || folder === undefined) throw new Error(`The guest does not run on ${this.#here.name}.`);
    // The destination-agent's monitor is free once the source-agent has adopted the guest.
    return { pid, spareMonitor: join(this.#here.runtimeDir, folder, 'dst.qmp') };
  }

  cpuSeconds(): number {
    return cpuSecondsOfAll([...this.#here.apps, ...this.#there.apps].map(({ pid }) => pid));
  }

  apps(): Apps {
    const hosts = [this.#here, this.#there];
    return {
      relays: hosts.map(({ relay }) => relay.pid),
      agents: hosts.flatMap(({ source, destination }) => [source.pid, destination.pid]),
    };
  }

  async close(): Promise<void> {
    const hosts = [this.#here, this.#there];
    for (const host of hosts)
      if (host.source.running)
        await host
          .sourceClient()
          .destroy(this.#domain)
          .catch(() => undefined);
    for (const host of hosts) await host.stop();
  }

  async #migrate(how: { readonly flags: string[]; readonly uri?: string }): Promise<void> {
    const client = this.#here.sourceClient();
    const { id } = await client.migrate({ domain: this.#domain, destination: this.#there.destination.url, ...how });
    for await (const { state, error } of client.watch(id)) {
      if (state === 'FAILED' || state === 'CANCELLED')
        throw new Error(`The migration ${id} is ${state}: ${error?.detail ?? 'no reason given'}`);
    }
    [this.#here, this.#there] = [this.#there, this.#here];
  }
}
