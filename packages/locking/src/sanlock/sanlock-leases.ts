import { createHash } from 'node:crypto';
import { access, link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { noFaults } from '@vmferry/seams';
import { createDurably, sweepTemporaries, syncFolder } from '../durable-file.js';
import { pidOfWriter } from '../embedded.js';
import type { ResourceId } from '../lock-driver.js';
import { resourceKey } from '../lock-state.js';
import { refusedBySanlock, type SanlockClient } from './sanlock-client.js';

/** The lockspace of all hosts that share the folder. */
export const lockspace = 'vmferry';
/** A lease has a sector for each of 2,000 hosts. */
const leaseBytes = 1_048_576;

/** A lease as it is on the shared storage: read there, not asked of a daemon. */
export interface Leader {
  /** Who had it last; 0 when nobody ever had. */
  readonly hostId: number;
  readonly generation: number;
  readonly lver: bigint;
  readonly held: boolean;
}

/**
 * The files of the leases in the folder that all hosts share: `lockspace`, `leases/NAME` for each resource, and `hosts/ID` with the uuid of the
 * host that has this id. A file is whole when it gets its name, and is never removed, for an epoch must never start again.
 */
export class SanlockLeases {
  readonly #folder: string;
  readonly #client: SanlockClient;
  readonly #hostUuid: string;

  /** `folder` holds neither blanks nor colons: sanlock's words are made of it. */
  constructor(folder: string, client: SanlockClient, hostUuid: string) {
    this.#folder = folder;
    this.#client = client;
    this.#hostUuid = hostUuid;
  }

  /** How sanlock names the lockspace for the host with this id. */
  lockspaceOf(hostId: number): string {
    return `${lockspace}:${hostId}:${join(this.#folder, 'lockspace')}:0`;
  }

  /** How sanlock names a lease; with `lver` it is had at that one alone. */
  wordOf(resource: ResourceId, lver?: bigint | 'SH'): string {
    return `${lockspace}:${nameOf(resource)}:${this.#pathOf(resource)}:0${lver === undefined ? '' : `:${lver}`}`;
  }

  /** The folder itself is not made: one that is missing is a file system that is not mounted. Throws `lease-unavailable`. */
  async open(): Promise<void> {
    try {
      await access(this.#folder);
      for (const below of ['leases', 'hosts']) await mkdir(join(this.#folder, below), { recursive: true, mode: 0o700 });
      for (const folder of [this.#folder, join(this.#folder, 'leases')])
        await sweepTemporaries(folder, (writer) => pidOfWriter(writer, this.#hostUuid));
    } catch (cause) {
      throw unreadable(this.#folder, cause);
    }
    await this.#make(join(this.#folder, 'lockspace'), (path) => ['-s', `${lockspace}:0:${path}:0`]);
  }

  /** Claims the id for this host. Throws `invalid-argument` when another host has it: two with one id would not see each other. */
  async claim(hostId: number): Promise<void> {
    const path = join(this.#folder, 'hosts', String(hostId));
    if ((await this.hostOf(hostId)) === this.#hostUuid) return;
    await createDurably(path, `${this.#hostUuid}\n`, this.#writer, noFaults);
    const claimed = await this.hostOf(hostId);
    if (claimed === this.#hostUuid) return;
    const detail = `The sanlock host id ${hostId} is that of host ${claimed}. Give this host another; remove ${path} when that host is gone for good.`;
    throw new VmferryError('invalid-argument', detail);
  }

  /** The uuid of the host with this id, as messages name it. */
  async hostOf(hostId: number): Promise<string> {
    const path = join(this.#folder, 'hosts', String(hostId));
    return (await readFile(path, 'utf8').catch(() => '')).trim() || `with the sanlock id ${hostId}`;
  }

  /** Makes the leases of these resources that were never made. */
  async make(resources: readonly ResourceId[]): Promise<void> {
    for (const resource of resources) {
      const name = nameOf(resource);
      await this.#make(this.#pathOf(resource), (path) => ['-r', `${lockspace}:${name}:${path}:0`]);
    }
  }

  /** Null when the lease was never made. Throws `lease-unavailable`. */
  async leader(resource: ResourceId): Promise<Leader | null> {
    if (!(await exists(this.#pathOf(resource)))) return null;
    const { code, output } = await this.#client.ask('direct', 'read_leader', '-r', this.wordOf(resource));
    const read = (field: string) => new RegExp(`^${field} (\\d+)$`, 'm').exec(output)?.[1];
    const [hostId, generation, lver, timestamp] = ['owner_id', 'owner_generation', 'lver', 'timestamp'].map(read);
    if (code !== 0 || hostId === undefined || generation === undefined || lver === undefined || timestamp === undefined)
      throw refusedBySanlock(`the lease of ${resourceKey(resource)} is read (${this.#pathOf(resource)})`, code);
    return { hostId: Number(hostId), generation: Number(generation), lver: BigInt(lver), held: timestamp !== '0' };
  }

  /** Two hosts may do so at once: the one that comes second finds the file of the first, never a half of one. */
  async #make(path: string, words: (path: string) => readonly string[]): Promise<void> {
    if (await exists(path)) return;
    const temporary = join(dirname(path), `.${basename(path)}.${this.#writer}.tmp`);
    try {
      const file = await open(temporary, 'w', 0o600);
      await file.truncate(leaseBytes).finally(() => file.close());
      const { code } = await this.#client.ask('client', 'init', ...words(temporary));
      if (code !== 0) throw refusedBySanlock(`${path} is made`, code);
      await link(temporary, path).catch((error: unknown) => {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      });
      await syncFolder(dirname(path));
    } catch (cause) {
      throw VmferryError.is(cause, 'lease-unavailable') ? cause : unreadable(path, cause);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  get #writer(): string {
    return `${this.#hostUuid}-${process.pid}`;
  }

  #pathOf(resource: ResourceId): string {
    return join(this.#folder, 'leases', nameOf(resource));
  }
}

/** At most 48 characters, sanlock's own limit. A key that is no plain word becomes its hash; the dot keeps hashes and words apart. */
export function nameOf({ kind, key }: ResourceId): string {
  if (/^[A-Za-z0-9-]{1,40}$/.test(key)) return `${kind}-${key}`;
  return `${kind}.${createHash('sha256').update(key).digest('hex').slice(0, 40)}`;
}

/** False only when it is certain: a folder that cannot be read is no folder without leases. */
async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw unreadable(path, error);
  }
}

function unreadable(path: string, cause: unknown): VmferryError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const detail = `The sanlock folder cannot be used at ${path} (${reason}). Is the shared file system mounted?`;
  return new VmferryError('lease-unavailable', detail, { cause, data: { path } });
}
