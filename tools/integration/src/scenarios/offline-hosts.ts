import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CreateMigration, MigrationResource } from '@vmferry/api';
import { DestinationAgentClient, ManagedMigration } from '@vmferry/client';
import { domainXmlOf } from '@vmferry/guest-image';
import { Host, processesOf, quickTimers } from '@vmferry/lab';
import { systemClock } from '@vmferry/seams';
import { expect } from 'vitest';
import { expectAuditComplete } from '../checks/audit-complete.js';
import { endProcess } from '../world/end-process.js';
import { eventually } from '../world/eventually.js';

/** A domain that is defined and not active; each case has one of its own. */
export interface Defined {
  readonly name: string;
  readonly uuid: string;
  readonly xml: string;
}

export type Where = 'source' | 'destination' | 'both';
export const driven = ['peer-to-peer', 'managed'] as const;
export const offline = ['OFFLINE', 'PERSIST_DEST'];

/** Two hosts without a guest, for migrations of definitions alone. */
export class OfflineHosts {
  readonly folder: string;
  readonly a: Host;
  readonly b: Host;
  readonly #defined: string[] = [];

  private constructor(folder: string) {
    this.folder = folder;
    const host = (name: string) => new Host({ name: `host-${name}`, folder: join(folder, name), timers: quickTimers });
    this.a = host('a');
    this.b = host('b');
  }

  static async open(): Promise<OfflineHosts> {
    const folder = await mkdtemp(join(tmpdir(), 'vfo-'));
    await chmod(folder, 0o711);
    const hosts = new OfflineHosts(folder);
    for (const name of ['a', 'b']) await mkdir(join(folder, name), { mode: 0o711 });
    await Promise.all([hosts.a.start(), hosts.b.start()]);
    return hosts;
  }

  /** A machine without a disk, which boots nothing when it is started. */
  async define(at: Host = this.a, o: { uuid?: string; name?: string; memoryKib?: number } = {}): Promise<Defined> {
    const uuid = o.uuid ?? randomUUID();
    const who = { name: o.name ?? `d-${uuid.slice(0, 8)}`, uuid, memoryKib: o.memoryKib ?? 4_096 };
    const whole = domainXmlOf({ ...who, diskPath: '/nowhere', readonly: true, serial: { type: 'file', path: '/nowhere' } });
    const xml = whole.replace(/<(disk|serial) [\s\S]*?<\/\1>/g, '');
    this.#defined.push(uuid);
    await at.sourceClient().createDomain({ xml });
    return { ...who, xml: (await at.sourceClient().domainXml(uuid)).xml };
  }

  /** Asks for the migration, and resolves with its resource at the source once that is over. */
  async migrate(
    by: (typeof driven)[number],
    { uuid }: Defined,
    o: Omit<Partial<CreateMigration>, 'id'> = {},
  ): Promise<MigrationResource> {
    const id = randomUUID();
    const request = { domain: uuid, destination: this.b.destination.url, ...o, id, flags: [...(o.flags ?? offline)] };
    const source = this.a.sourceClient();
    if (by === 'peer-to-peer') await source.migrate(request);
    else {
      const { destination: url, ...steps } = request;
      const ends = { source, destination: new DestinationAgentClient(url), clock: systemClock, sessionTtlSeconds: 2 };
      await new ManagedMigration({ ...ends, request: steps }).run();
    }
    return this.ended(id);
  }

  ended(id: string): Promise<MigrationResource> {
    return eventually(async () => {
      const migration = await this.a.sourceClient().migration(id);
      expect(migration.finishedAt).not.toBeNull();
      return migration;
    }, 20_000);
  }

  /** The definition is there and nowhere else, on disk as in its agent's hands, inactive and in nobody's hands; nothing is left of the way. */
  async expectDefined({ uuid }: Defined, where: Where): Promise<void> {
    await eventually(async () => {
      for (const [host, side] of [
        [this.a, 'source'],
        [this.b, 'destination'],
      ] as const) {
        const isHere = where === side || where === 'both';
        const onDisk = (await readdir(join(host.stateDir, 'domains'))).filter((file) => file.startsWith(uuid));
        const known = (await host.sourceClient().domains()).domains.filter((domain) => domain.uuid === uuid);
        expect(onDisk, `on the disk of ${host.name}`).toEqual(isHere ? [`${uuid}.xml`] : []);
        expect(known.length, `known on ${host.name}`).toBe(isHere ? 1 : 0);
        const inactive = { state: 'shutoff', persistent: true, job: null, migrationId: null, warning: null };
        if (isHere) expect(known[0]).toMatchObject(inactive);
        const inHand = (await readdir(join(host.stateDir, 'run', uuid)).catch(() => [])).filter((file) => file !== 'qemu.log');
        expect(inHand, `in hand on ${host.name}`).toEqual([]);
      }
      expect(processesOf(uuid)).toEqual([]);
    }, 10_000);
  }

  /** It can be started where it is, and is ended again. */
  async expectStarts(host: Host, { uuid }: Defined): Promise<void> {
    const client = host.sourceClient();
    expect(await client.start(uuid, { paused: true })).toMatchObject({ state: 'paused' });
    await client.destroy(uuid);
  }

  /** What both agents of a host have told of a domain, in order. */
  async eventsOn(host: Host, { uuid }: Defined): Promise<string[]> {
    const told: string[] = [];
    for (const side of ['source', 'destination'] as const) {
      const text = await readFile(join(host.stateDir, `${side}-agent.events`), 'utf8');
      for (const line of text.split('\n').filter((each) => each.includes(uuid)))
        told.push(/"event":"(\w+)","detail":"(\w+)"/.exec(line)?.slice(1, 3).join('/') ?? line);
    }
    return told;
  }

  /** How often a start or a stop of it was audited, on both hosts. */
  async controls({ uuid }: Defined): Promise<number> {
    const paths = [this.a, this.b].flatMap(({ stateDir }) =>
      ['source-agent', 'destination-agent'].map((app) => join(stateDir, `${app}.audit`)),
    );
    const lines = (await Promise.all(paths.map((path) => readFile(path, 'utf8')))).join('\n').split('\n');
    return lines.filter((line) => line.includes('VIRT_CONTROL') && line.includes(uuid)).length;
  }

  /** A case that failed may have left a guest running. */
  async close(): Promise<void> {
    try {
      await expectAuditComplete([this.a.stateDir, this.b.stateDir]);
    } finally {
      await Promise.all([this.a.kill(), this.b.kill()]);
      for (const pid of this.#defined.flatMap(processesOf)) endProcess(pid);
      await rm(this.folder, { recursive: true });
    }
  }
}
