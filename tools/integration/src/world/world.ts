import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ArrivedTick,
  bootSectorGuest,
  domainXmlOf,
  linuxGuest,
  listenForTicks,
  type TickListener,
} from '@vmferry/guest-image';
import { type AppProcess, Host, type HostOptions, processesOf, quickTimers } from '@vmferry/lab';
import { expectAuditComplete } from '../checks/audit-complete.js';
import { endProcess } from './end-process.js';
import { eventually } from './eventually.js';
import { SmallDisk } from './small-disk.js';

const tickDeadlineMs = 20_000;
const guestName = 'guest';

export interface WorldOptions {
  /** What both destination-agents offer; v2 alone makes each migration one of v2. */
  readonly protocols?: 'v2';
  /** The guest is Linux with so much memory filled; by default it is the boot sector. */
  readonly linuxFilledMib?: number;
  /** The Linux guest has this `<interface>` with this address. */
  readonly network?: { readonly interfaceXml: string; readonly address: string };
  /** Devices that the guest has besides, as XML. */
  readonly devices?: string;
  /** The disk has a file system of its own, which can be filled; only where `canMount`. */
  readonly smallDisk?: boolean;
  /** The certificates of each host's apps; with them its relay speaks TLS. */
  readonly certificates?: { readonly a?: HostCertificates; readonly b?: HostCertificates };
  /** What else each host is given. */
  readonly hosts?: { readonly a?: HostExtras; readonly b?: HostExtras };
}

type HostExtras = Partial<
  Pick<
    HostOptions,
    | 'name'
    | 'migrateTlsDir'
    | 'spiceTlsDir'
    | 'displayPorts'
    | 'migrationPorts'
    | 'insecureMigrationPorts'
    | 'lockDriver'
    | 'sanlock'
    | 'etcd'
    | 'network'
  >
>;

type HostCertificates = NonNullable<HostOptions['certificates']>;

/** Two hosts on loopback and one guest that runs on one of them: what a case of the suite has to itself. */
export class World {
  readonly a: Host;
  readonly b: Host;
  readonly uuid: string;
  readonly name = guestName;
  readonly folder: string;
  readonly diskPath: string;
  /** The definition that the guest was first booted from. */
  readonly xml: string;
  /** Where the guest runs, as the last check has proven it. */
  here: Host;
  /** Descriptors of each agent at rest, with and without the guest on its host (I6). */
  readonly atRest = new Map<string, readonly string[]>();
  /** Null unless the world was opened with one. */
  readonly smallDisk: SmallDisk | null;
  readonly #ticks: TickListener;
  #bootedAtTick = 0;

  private constructor(
    folder: string,
    hosts: { readonly a: Host; readonly b: Host },
    guest: { readonly uuid: string; readonly diskPath: string; readonly xml: string; readonly smallDisk: SmallDisk | null },
    ticks: TickListener,
  ) {
    this.folder = folder;
    this.a = hosts.a;
    this.b = hosts.b;
    this.here = hosts.a;
    this.uuid = guest.uuid;
    this.diskPath = guest.diskPath;
    this.xml = guest.xml;
    this.smallDisk = guest.smallDisk;
    this.#ticks = ticks;
    process.once('exit', this.#killAll);
  }

  /** Both hosts up, the guest running on A. */
  static async open({ protocols, linuxFilledMib, network, certificates, devices = '', ...o }: WorldOptions = {}): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'vfw-'));
    // QEMU runs as nobody and has to pass through to its disk and its serial port.
    await chmod(folder, 0o711);
    for (const name of ['a', 'b', 'g']) await mkdir(join(folder, name), { mode: 0o711 });
    const guest = await bootSectorGuest({ writable: true });
    const smallDisk = o.smallDisk ? await SmallDisk.make(join(folder, 'd'), guest.diskPath) : null;
    const diskPath = smallDisk?.path ?? (await guest.copyFor(join(folder, 'g')));
    const ticks = await listenForTicks(join(folder, 'g', 'serial'));
    const offered = protocols === undefined ? {} : { protocols };
    const host = (name: 'a' | 'b') => {
      const shown = certificates?.[name] === undefined ? {} : { certificates: certificates[name] };
      const own = { name: `host-${name}`, folder: join(folder, name), timers: quickTimers };
      return new Host({ ...own, ...offered, ...shown, ...o.hosts?.[name] });
    };
    const uuid = randomUUID();
    const serial = { type: 'unix-connect', path: join(folder, 'g', 'serial') } as const;
    const linux = linuxFilledMib === undefined ? {} : await linuxFilled(linuxFilledMib, network);
    const own = domainXmlOf({ name: guestName, uuid, diskPath, serial, ...linux });
    const xml = own.replace('</devices>', `${devices}</devices>`);
    const world = new World(folder, { a: host('a'), b: host('b') }, { uuid, diskPath, xml, smallDisk }, ticks);
    try {
      await Promise.all([world.a.start(), world.b.start()]);
      await world.a.sourceClient().createDomain({ xml: world.xml });
      await world.boot();
      return world;
    } catch (thrown) {
      await world.close({ keep: true });
      throw thrown;
    }
  }

  get hosts(): readonly Host[] {
    return [this.a, this.b];
  }

  get there(): Host {
    return this.here === this.a ? this.b : this.a;
  }

  /** The ticks of the guest's present life, from both QEMUs in the order of their arrival. */
  get ticks(): readonly ArrivedTick[] {
    return this.#ticks.ticks.slice(this.#bootedAtTick);
  }

  /** How many QEMUs of the guest have connected to its serial port since the world was opened. */
  get serialConnections(): number {
    return this.#ticks.connections;
  }

  /** Starts the guest anew on A, where its configuration is. */
  async boot(how: { readonly forceBoot?: boolean } = {}): Promise<void> {
    this.#bootedAtTick = this.#ticks.ticks.length;
    await this.a.sourceClient().start(this.name, how);
    this.here = this.a;
    await this.#ticks.waitForTick((tick) => this.#ticks.ticks.indexOf(tick) >= this.#bootedAtTick + 5, tickDeadlineMs);
  }

  /** Resolves when the guest has ticked `count` times more. */
  async moreTicks(count = 5): Promise<void> {
    const from = this.#ticks.ticks.length;
    await eventually(() => {
      if (this.#ticks.ticks.length < from + count)
        throw new Error(`the guest has ticked ${this.#ticks.ticks.length - from} times`);
    }, tickDeadlineMs);
  }

  /** The guest switches itself off. */
  powerOff(): void {
    this.#ticks.send('q');
  }

  /** The guest writes to a page of its disk that holds nothing yet. */
  writeToDisk(): void {
    this.#ticks.send('w');
  }

  /** The QEMU of the guest on a host, by what its source-agent says. */
  async qemuOn(host: Host): Promise<number> {
    const { pid } = await host.sourceClient().domain(this.uuid);
    if (pid === null) throw new Error(`${host.name} has no QEMU of the guest`);
    return pid;
  }

  /** The QEMU that the guest is coming in to: the one that is not on the host where it runs. */
  async incomingQemu(): Promise<number> {
    const source = await this.qemuOn(this.here);
    const incoming = processesOf(this.uuid).find((pid) => pid !== source);
    if (incoming === undefined) throw new Error(`the guest is coming in to no QEMU on ${this.there.name}`);
    return incoming;
  }

  /** Starts what does not run, as a supervisor would. */
  async supervise(): Promise<void> {
    for (const host of this.hosts)
      for (const app of [host.relay, host.source, host.destination]) if (!app.running) await app.start();
  }

  /** Restarts one app at rest, so that it meets `fault` in its next life. */
  async arm(app: AppProcess, fault: string): Promise<void> {
    await app.kill();
    await app.start(fault);
  }

  /** Ends everything; the folder stays for whoever looks for the reason when `keep`. Of a world that is in order its whole audit is, too. */
  async close(o: { readonly keep: boolean }): Promise<void> {
    try {
      if (!o.keep) await expectAuditComplete(this.hosts.map(({ stateDir }) => stateDir));
    } finally {
      await this.#end(o);
    }
  }

  async #end(o: { readonly keep: boolean }): Promise<void> {
    this.#killAll();
    await Promise.all(this.hosts.map((host) => host.kill()));
    await eventually(() => {
      if (processesOf(this.uuid).length > 0) throw new Error('a QEMU of the guest is still there');
    });
    await this.#ticks.close();
    process.off('exit', this.#killAll);
    if (!o.keep) await rm(this.folder, { recursive: true });
  }

  /** Also when the test runner ends early: nothing of a world outlives it. */
  #killAll = (): void => {
    for (const app of this.hosts.flatMap(({ apps }) => apps)) if (app.running) endProcess(app.pid);
    for (const pid of processesOf(this.uuid)) endProcess(pid);
    this.smallDisk?.unmount();
  };
}

/** What Linux needs to boot comes on top. */
async function linuxFilled(mib: number, network: WorldOptions['network']) {
  const { cmdline, ...files } = await linuxGuest();
  const filled = { ...files, cmdline: `${cmdline} vmferry.fill=${mib}`, memoryKib: 81_920 + mib * 1_024 };
  if (network === undefined) return filled;
  // So that it says nothing on the network but what it is asked for.
  const { interfaceXml, address } = network;
  return { ...filled, cmdline: `${filled.cmdline} ipv6.disable=1 vmferry.net=${address}`, interfaceXml };
}
