import type { Clock, Timer } from '@vmferry/seams';
import type { LeaseRecord } from './lease-record.js';
import type { ResourceId } from './lock-driver.js';
import { resourceKey } from './lock-state.js';

/** What this host owns by what was last read or written: what a watch looks after. */
export class HeldResources {
  readonly #held = new Map<string, ResourceId>();

  constructor(private readonly hostUuid: string) {}

  [Symbol.iterator](): Iterator<ResourceId> {
    return this.#held.values();
  }

  remember(resources: readonly ResourceId[], records: readonly LeaseRecord[]): void {
    for (const [index, resource] of resources.entries()) {
      if (records[index]?.owner === this.hostUuid) this.#held.set(resourceKey(resource), resource);
    }
  }

  /** As `letGo`, of resources that this host lets go whatever their records become. */
  forget(resources: readonly ResourceId[]): void {
    for (const resource of resources) this.#held.delete(resourceKey(resource));
  }

  /** To be called before these records are written: what this host lets go itself is no loss that a watch should tell of. */
  letGo(resources: readonly ResourceId[], records: readonly LeaseRecord[]): void {
    for (const [index, resource] of resources.entries()) {
      if (records[index]?.owner !== this.hostUuid) this.#held.delete(resourceKey(resource));
    }
  }

  /** Tells once that another has a resource that this host did not let go. */
  async verify(resource: ResourceId, read: () => Promise<LeaseRecord>, lost: (resource: ResourceId) => void): Promise<void> {
    // A record that cannot be read says nothing about its owner; the next operation on it reports it.
    const record = await read().catch(() => null);
    if (record !== null && record.owner !== this.hostUuid && this.#held.delete(resourceKey(resource))) lost(resource);
  }

  /** Looks after all of them, `everyMs` after the last look ended. */
  watch(
    { clock, everyMs }: { readonly clock: Clock; readonly everyMs: number },
    read: (resource: ResourceId) => Promise<LeaseRecord>,
    lost: (resource: ResourceId) => void,
  ): Disposable {
    let ended = false;
    let timer: Timer | undefined;
    const look = async () => {
      for (const resource of this)
        await this.verify(
          resource,
          () => read(resource),
          (gone) => ended || lost(gone),
        );
    };
    const again = () => {
      if (!ended) timer = clock.after(everyMs, () => void look().finally(again));
    };
    again();
    return {
      [Symbol.dispose]: () => {
        ended = true;
        timer?.cancel();
      },
    };
  }
}
