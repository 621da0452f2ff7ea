import { VmferryError } from '@vmferry/errors';
import type { Clock, Random } from '@vmferry/seams';
import { HeldResources } from '../held-resources.js';
import { formatRecord, type LeaseRecord, parseRecordText } from '../lease-record.js';
import { acquired, broken, type LeaseRule, released, transferred } from '../lease-rules.js';
import {
  checkProof,
  checkResources,
  type FencingProof,
  type LockDriver,
  type LockState,
  type ResourceId,
} from '../lock-driver.js';
import { freeStateOf, resourceKey, stateOf } from '../lock-state.js';
import { type Change, type EtcdOptions, EtcdStore, type Kept, NoAnswer, noKey, unavailable } from './etcd-store.js';

export interface EtcdLocksOptions extends EtcdOptions {
  readonly hostUuid: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** Somebody else changed one of the records between the look and the change; each time one of the two gets on. */
const attemptsMax = 16;
/** How late a loss may be noticed. Nothing runs because of it: the other host got the lease by the rules. */
const watchMs = 500;

/**
 * Leases as keys of an etcd: one record per resource, changed by compare-and-set of all records at once, so that no lock is held meanwhile and nothing is left
 * behind by an agent that ends. A record has no time to live. What etcd carried out and could not say is read back: a record names the write
 * that made it. Nothing ties a lease to its QEMU (`fences: 'none'`); QEMU's own lock of the image does.
 */
export class EtcdLocks implements LockDriver {
  readonly name = 'etcd';
  readonly usesState = true;
  readonly canTransferAtomically = true;
  readonly fences = 'none';
  readonly launcher = [];
  readonly #store: EtcdStore;
  readonly #held: HeldResources;

  constructor(private readonly options: EtcdLocksOptions) {
    this.#store = new EtcdStore(options);
    this.#held = new HeldResources(options.hostUuid);
  }

  liveLock(): Promise<null> {
    return Promise.resolve(null);
  }

  register(): Promise<void> {
    return Promise.resolve();
  }

  async acquire(_vm: string, resources: readonly ResourceId[], expect?: LockState): Promise<LockState> {
    return stateOf(this.name, resources, await this.#change(resources, acquired(this.options.hostUuid, expect)));
  }

  async release(_vm: string, resources: readonly ResourceId[]): Promise<LockState> {
    return freeStateOf(this.name, resources, await this.#change(resources, released(this.options.hostUuid)));
  }

  async inquire(_vm: string, resources: readonly ResourceId[]): Promise<{ state: LockState; heldByMe: boolean }> {
    checkResources(resources);
    const records = (await this.#read(resources)).map(({ record }) => record);
    this.#held.remember(resources, records);
    const heldByMe = records.every(({ owner }) => owner === this.options.hostUuid);
    return { state: stateOf(this.name, resources, records), heldByMe };
  }

  async transfer(
    _vm: string,
    resources: readonly ResourceId[],
    from: { readonly host: string; readonly state: LockState },
    to: string,
    migrationId: string,
  ): Promise<LockState> {
    return stateOf(this.name, resources, await this.#change(resources, transferred(from, to, migrationId)));
  }

  async breakLock(
    _vm: string,
    resources: readonly ResourceId[],
    epoch: string,
    proof: FencingProof,
    actor: string,
  ): Promise<LockState> {
    checkProof(proof, actor);
    return stateOf(this.name, resources, await this.#change(resources, broken(epoch)));
  }

  watch(lost: (resource: ResourceId) => void): Disposable {
    return this.#held.watch({ clock: this.options.clock, everyMs: watchMs }, (resource) => this.#recordOf(resource), lost);
  }

  /** Every rule is asked before anything is written, and all records are changed or none. */
  async #change(resources: readonly ResourceId[], rule: LeaseRule): Promise<LeaseRecord[]> {
    checkResources(resources);
    let seen = await this.#read(resources);
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const before = seen.map(({ record }) => record);
      const next = seen.map(({ resource, record }) => rule(resource, record));
      const write = this.options.random.uuid();
      const changes = seen.map(({ resource, kept, record }, index) => {
        const after = next[index];
        const text = after === undefined || after === record ? null : formatRecord(resource, after, write);
        return { key: resourceKey(resource), seen: kept, text };
      });
      this.#held.letGo(resources, next);
      const found = await this.#exchange(changes, write).catch((thrown: unknown) => {
        // What becomes of the change is not known: until it is, this host looks after what it had.
        this.#held.remember(resources, before);
        throw thrown;
      });
      this.#held.remember(resources, found === null ? next : before);
      if (found === null) return next;
      seen = resources.map((resource, index) => seenIn(resource, found[index]));
    }
    throw new VmferryError('lease-unavailable', `The lease of ${resources.map(resourceKey).join(', ')} changes too fast.`);
  }

  /**
   * Null when this write is what the records are now, otherwise what they are. Asked also after a refusal: the member before may have made the change and not
   * have said so. A write that is made later still, by a member that was cut off, finds the records as it expects them or does nothing.
   */
  async #exchange(changes: readonly Change[], write: string): Promise<Kept[] | null> {
    const made = await this.#store.exchange(changes).catch((thrown: unknown) => {
      if (thrown instanceof NoAnswer) return thrown;
      throw thrown;
    });
    if (made === true) return null;
    const found = await this.#store.read(changes.map(({ key }) => key));
    const written = found.filter((_, index) => changes[index]?.text !== null);
    if (written.length > 0 && written.every(({ text }) => text?.includes(write))) return null;
    if (made instanceof NoAnswer) throw unavailable(made);
    return found;
  }

  async #read(resources: readonly ResourceId[]): Promise<Seen[]> {
    const kept = await this.#store.read(resources.map(resourceKey));
    return resources.map((resource, index) => seenIn(resource, kept[index]));
  }

  async #recordOf(resource: ResourceId): Promise<LeaseRecord> {
    const [found = noKey] = await this.#store.read([resourceKey(resource)]);
    return recordIn(found, resource);
  }
}

interface Seen {
  readonly resource: ResourceId;
  readonly kept: Kept;
  readonly record: LeaseRecord;
}

function seenIn(resource: ResourceId, kept = noKey): Seen {
  return { resource, kept, record: recordIn(kept, resource) };
}

function recordIn({ text }: Kept, resource: ResourceId): LeaseRecord {
  const key = resourceKey(resource);
  return parseRecordText(text, resource, { name: `key ${key} of the etcd`, data: { key } });
}
