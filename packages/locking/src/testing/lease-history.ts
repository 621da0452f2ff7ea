import { VmferryError } from '@vmferry/errors';
import { sleep, systemClock } from '@vmferry/seams';
import type { LockDriver, ResourceId } from '../lock-driver.js';

/** Whoever asks at every moment keeps the others from the store. */
const pause = (): Promise<void> => sleep(systemClock, 5);

/**
 * What happens when several hosts want one lease, on the one clock of this process: a tenure lasts from the answer to `acquire` until `release` is
 * asked, or its guest is ended.
 */
export class LeaseHistory {
  readonly epochs: string[] = [];
  readonly overlaps: string[] = [];
  readonly #resources: readonly ResourceId[];
  readonly #owners = new Set<string>();
  readonly #waiting: { readonly isDue: () => boolean; readonly resolve: () => void }[] = [];
  #tries = 0;
  #over = false;

  constructor(resources: readonly ResourceId[]) {
    this.#resources = resources;
  }

  /** Lets this host try until `end`. `driver` is asked before each try: its agent, or its guest, may be another by then. */
  async lives(host: string, driver: () => Promise<{ readonly locks: LockDriver; readonly lives: () => boolean }>): Promise<void> {
    while (!this.#over) await this.#tenure(host, await driver());
  }

  end(): void {
    this.#over = true;
  }

  /** To be called before the guest of this host is ended: nobody has the lease from then on. */
  dies(host: string): void {
    this.#owners.delete(host);
  }

  /** Resolves when there were so many more tenures, by whichever host. */
  tenures(more: number): Promise<void> {
    const count = this.epochs.length + more;
    return this.#until(() => this.epochs.length >= count);
  }

  /** Resolves when there were so many more tries, whatever came of them. */
  tries(more: number): Promise<void> {
    const count = this.#tries + more;
    return this.#until(() => this.#tries >= count);
  }

  /** One try to own the lease, have it for a moment and let it go again. */
  async #tenure(host: string, { locks, lives }: { readonly locks: LockDriver; readonly lives: () => boolean }): Promise<void> {
    const state = await locks.acquire(host, this.#resources).catch(unlessRefused);
    this.#tries += 1;
    if (state !== null && lives()) {
      if (this.#owners.size > 0) this.overlaps.push(`${host} beside ${[...this.#owners].join()}`);
      this.#owners.add(host);
      this.epochs.push(state.grants[0]?.epoch ?? '');
    }
    for (const waiting of this.#waiting) if (waiting.isDue()) waiting.resolve();
    if (state === null) return pause();
    await locks.inquire(host, this.#resources).catch(unlessRefused);
    this.#owners.delete(host);
    // Until this host knows that it is free again, nobody else has it: it is asked again and again.
    while ((await locks.release(host, this.#resources).catch(unlessRefused)) === null) await pause();
  }

  #until(isDue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      if (isDue()) resolve();
      else this.#waiting.push({ isDue, resolve });
    });
  }
}

/** Null for what a host that wants a lease has to expect. */
export function unlessRefused(thrown: unknown): null {
  if (thrown instanceof VmferryError && ['lease-busy', 'lease-unavailable'].includes(thrown.code)) return null;
  throw thrown;
}
