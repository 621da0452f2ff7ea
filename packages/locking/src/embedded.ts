import { createHash } from 'node:crypto';
import { watch as watchFolder } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { type Clock, type FaultPoints, noFaults } from '@vmferry/seams';
import { sweepTemporaries, writeDurably } from './durable-file.js';
import { HeldResources } from './held-resources.js';
import { formatRecord, type LeaseRecord, readRecord } from './lease-record.js';
import { acquired, adopted, broken, type LeaseRule, released, transferred } from './lease-rules.js';
import { isLive, type LiveProcess, namedProcess, nameProcess, takeLiveLock } from './live-lock.js';
import {
  checkProof,
  checkResources,
  type FencingProof,
  type LockDriver,
  type LockState,
  type ResourceId,
} from './lock-driver.js';
import { freeStateOf, resourceKey, stateOf } from './lock-state.js';
import { withRecordLocks } from './record-mutex.js';

export interface EmbeddedOptions {
  /** Scope `host`: a folder of this host. Scope `shared`: one folder of all hosts, on a file system whose flock reaches all of them. */
  readonly folder: string;
  readonly scope: 'host' | 'shared';
  readonly hostUuid: string;
  readonly clock: Clock;
  readonly faults?: FaultPoints;
}

/**
 * Leases as files, with no service to run. Per resource: the record `KEY.json`, its mutex `KEY.lk`, and for a guest the live lock
 * `KEY.live.HOSTUUID`. They stay when the guest goes, for an epoch must never start again.
 *
 * Limits: it does not fence. On NFS the locks vanish when a server or client loses its leases, and `watch` sees only what the
 * local kernel sees. Scope `host` arbitrates this host alone; between hosts the outcome record is the guard.
 */
export class EmbeddedLocks implements LockDriver {
  readonly name: string;
  readonly usesState: boolean;
  readonly canTransferAtomically: boolean;
  readonly fences = 'none';
  readonly launcher = [];
  readonly #options: EmbeddedOptions;
  readonly #faults: FaultPoints;
  readonly #processes = new Map<string, LiveProcess>();
  readonly #held: HeldResources;
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(options: EmbeddedOptions) {
    const shared = options.scope === 'shared';
    this.name = shared ? 'embedded-shared' : 'embedded';
    this.usesState = shared;
    this.canTransferAtomically = shared;
    this.#options = options;
    this.#held = new HeldResources(options.hostUuid);
    this.#faults = options.faults ?? noFaults;
  }

  static async open(options: EmbeddedOptions): Promise<EmbeddedLocks> {
    try {
      await mkdir(options.folder, { recursive: true, mode: 0o700 });
      await sweepTemporaries(options.folder, (writer) => pidOfWriter(writer, options.hostUuid));
    } catch (error) {
      throw new VmferryError('lease-unavailable', `The lock folder ${options.folder} cannot be opened.`, { cause: error });
    }
    return new EmbeddedLocks(options);
  }

  liveLock(vm: string): Promise<number> {
    const resource = vmResource(vm);
    return this.#locked([resource], () => Promise.resolve(takeLiveLock(this.#livePath(resource), vm)));
  }

  register(vm: string, pid: number, _resources: readonly ResourceId[]): Promise<void> {
    const resource = vmResource(vm);
    return this.#locked([resource], () => {
      this.#processes.set(vm, nameProcess(this.#livePath(resource), pid));
      return Promise.resolve();
    });
  }

  acquire(_vm: string, resources: readonly ResourceId[], expect?: LockState): Promise<LockState> {
    return this.#change(resources, acquired(this.#options.hostUuid, expect));
  }

  release(_vm: string, resources: readonly ResourceId[]): Promise<LockState> {
    return this.#locked(resources, async () => {
      const records = await this.#apply(resources, released(this.#options.hostUuid));
      return freeStateOf(this.name, resources, records);
    });
  }

  inquire(_vm: string, resources: readonly ResourceId[]): Promise<{ state: LockState; heldByMe: boolean }> {
    return this.#locked(resources, async () => {
      const records = await this.#read(resources);
      const heldByMe = records.every(({ owner }) => owner === this.#options.hostUuid);
      this.#held.remember(resources, records);
      return { state: stateOf(this.name, resources, records), heldByMe };
    });
  }

  async transfer(
    _vm: string,
    resources: readonly ResourceId[],
    from: { readonly host: string; readonly state: LockState },
    to: string,
    migrationId: string,
  ): Promise<LockState> {
    if (!this.canTransferAtomically) {
      throw new VmferryError(
        'internal',
        'The embedded lock driver of scope host cannot move a lease to another host; it adopts and releases.',
      );
    }
    return this.#change(resources, transferred(from, to, migrationId));
  }

  /**
   * Scope `host`: takes over here, at Finish, what the cookie says of the other host. Throws `lease-stale` when the epoch here is not
   * lower, and `lease-busy` when a QEMU of this guest that was not registered with this driver lives here. Idempotent for one `migrationId`.
   */
  async adopt(vm: string, resources: readonly ResourceId[], cookie: LockState, migrationId: string): Promise<LockState> {
    if (this.#options.scope !== 'host') {
      throw new VmferryError('internal', 'The embedded lock driver of scope shared does not adopt; it transfers.');
    }
    return this.#locked([vmResource(vm), ...resources], async () => {
      this.#refuseForeignProcess(vm);
      return stateOf(this.name, resources, await this.#apply(resources, adopted(this.#options.hostUuid, cookie, migrationId)));
    });
  }

  async breakLock(
    _vm: string,
    resources: readonly ResourceId[],
    epoch: string,
    proof: FencingProof,
    actor: string,
  ): Promise<LockState> {
    checkProof(proof, actor);
    return this.#change(resources, broken(epoch));
  }

  watch(lost: (resource: ResourceId) => void): Disposable {
    const watcher = watchFolder(this.#options.folder, { persistent: false }, (_, file) => {
      for (const resource of this.#held) {
        const path = this.#recordPath(resource);
        if (basename(path) === file) void this.#held.verify(resource, () => readRecord(path, resource), lost);
      }
    });
    return { [Symbol.dispose]: () => watcher.close() };
  }

  /** Who holds a live lock says for certain whether it is the QEMU that this agent has registered. */
  #refuseForeignProcess(vm: string): void {
    const path = this.#livePath(vmResource(vm));
    if (!isLive(path)) return;
    const holder = namedProcess(path);
    const ours = this.#processes.get(vm);
    if (holder !== null && ours !== undefined && holder.pid === ours.pid && holder.startTimeTicks === ours.startTimeTicks) return;
    throw new VmferryError(
      'lease-busy',
      `Another QEMU of guest ${vm} lives on this host (process ${holder?.pid ?? 'unknown'}).`,
      {
        data: { resource: `vm:${vm}`, owner: this.#options.hostUuid, ...(holder === null ? {} : { pid: holder.pid }) },
      },
    );
  }

  #change(resources: readonly ResourceId[], rule: LeaseRule): Promise<LockState> {
    return this.#locked(resources, async () => stateOf(this.name, resources, await this.#apply(resources, rule)));
  }

  /** Every rule is asked before the first record is written; when a write fails, those before it are put back. */
  async #apply(resources: readonly ResourceId[], rule: LeaseRule): Promise<LeaseRecord[]> {
    const before = await this.#read(resources);
    const steps = resources.map((resource, index) => {
      const old = before[index];
      if (old === undefined) throw new VmferryError('internal', 'A lease record was not read.');
      return { resource, old, next: rule(resource, old) };
    });
    const after = steps.map(({ next }) => next);
    this.#held.letGo(resources, after);
    const written: typeof steps = [];
    try {
      for (const step of steps.filter(({ old, next }) => next !== old)) {
        written.push(step);
        await this.#write(step.resource, step.next);
      }
    } catch (error) {
      for (const { resource, old } of written.reverse()) await this.#write(resource, old).catch(() => undefined);
      this.#held.remember(resources, before);
      throw new VmferryError('lease-unavailable', `The lease of ${resources.map(resourceKey).join(', ')} cannot be written.`, {
        cause: error,
      });
    }
    this.#held.remember(resources, after);
    return after;
  }

  #read(resources: readonly ResourceId[]): Promise<LeaseRecord[]> {
    return Promise.all(resources.map((resource) => readRecord(this.#recordPath(resource), resource)));
  }

  /** In a shared folder a pid alone could be another host's. */
  get #writer(): string {
    return `${this.#options.hostUuid}-${process.pid}`;
  }

  #write(resource: ResourceId, record: LeaseRecord): Promise<void> {
    return writeDurably(this.#recordPath(resource), formatRecord(resource, record), this.#writer, this.#faults);
  }

  /** One operation at a time in this process, and the mutexes against the others. */
  async #locked<R>(resources: readonly ResourceId[], act: () => Promise<R>): Promise<R> {
    checkResources(resources);
    const paths = resources.map((resource) => `${this.#base(resource)}.lk`);
    const mine = this.#tail.then(() => withRecordLocks(paths, this.#options.clock, act));
    this.#tail = mine.catch(() => undefined);
    return mine;
  }

  #recordPath(resource: ResourceId): string {
    return `${this.#base(resource)}.json`;
  }

  #livePath(resource: ResourceId): string {
    return `${this.#base(resource)}.live.${this.#options.hostUuid}`;
  }

  /** A key that is no plain word becomes its hash; the dot keeps hashes and words apart. */
  #base({ kind, key }: ResourceId): string {
    const word = /^[A-Za-z0-9-]{1,64}$/.test(key) ? key : `sha256.${createHash('sha256').update(key).digest('hex')}`;
    return join(this.#options.folder, `${kind}-${word}`);
  }
}

/** The process of a writer of this host, by the name of its temporary file; null for those of others. */
export function pidOfWriter(writer: string, hostUuid: string): number | null {
  const pid = writer.startsWith(`${hostUuid}-`) ? writer.slice(hostUuid.length + 1) : '';
  return /^\d{1,10}$/.test(pid) ? Number(pid) : null;
}

export function vmResource(uuid: string): ResourceId {
  return { kind: 'vm', key: uuid };
}
