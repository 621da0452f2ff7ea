import { VmferryError } from '@vmferry/errors';
import { type Guest, resourcesOf } from '@vmferry/guest';
import type { SourceContext } from '../context.js';
import type { Domain } from './domain.js';

/**
 * Keeps a guest from running without its lease (I1, I3; locking 4, `watch` and 4.7): one whose lease another host has, or nobody, is stopped, and it is
 * said. It is not ended, for its memory may be the only copy: a person looks, and `resume` runs it once the lease can be had. A store that does not
 * answer stops nothing.
 */
export class LeaseGuard {
  readonly #context: SourceContext;
  readonly #watch: Disposable;

  constructor(context: SourceContext, domainOf: (uuid: string) => Domain | undefined) {
    this.#context = context;
    this.#watch = context.locks.watch(({ kind, key }) => {
      const domain = kind === 'vm' ? domainOf(key) : undefined;
      if (domain !== undefined) this.#stop(domain);
    });
  }

  close(): void {
    this.#watch[Symbol.dispose]();
  }

  /** Of a guest that was found again or taken over: what became of its lease meanwhile is not known, and from here on it is watched. */
  look(domain: Domain): void {
    this.#look(domain).catch((error: unknown) => this.#again(domain, error, () => this.look(domain)));
  }

  async #look(domain: Domain): Promise<void> {
    const { locks } = this.#context;
    const resources = resourcesOf(domain.uuid);
    const { state, heldByMe } = await locks.inquire(domain.uuid, resources);
    if (heldByMe) return;
    const neverOwned = state.grants.every(({ epoch }) => epoch === '0');
    if (!neverOwned) return this.#stop(domain);
    // The host was given this lock driver while the guest ran; a migration takes the lease itself before it lets the guest go on.
    if (domain.undecided === null) await locks.acquire(domain.uuid, resources);
  }

  #stop(domain: Domain): void {
    this.#stopUnowned(domain).catch((error: unknown) => this.#again(domain, error, () => this.#stop(domain)));
  }

  /** Stops first and asks then. A source that a migration has brought to a stand has nothing to stop: there the lease goes as it should. */
  async #stopUnowned(domain: Domain): Promise<void> {
    const { locks, log } = this.#context;
    const guest = await runningGuest(domain);
    if (guest === null) return;
    await guest.qmp.execute('stop', {});
    const held = await locks.inquire(domain.uuid, resourcesOf(domain.uuid)).then(
      ({ heldByMe }) => heldByMe,
      () => false,
    );
    // What a migration has in hand only its outcome lets go on.
    if (held && domain.undecided === null) return void (await guest.qmp.execute('cont', {}));
    await domain.setState({ state: 'paused', reason: domain.undecided === null ? 'unknown' : 'migration' });
    log.error('the lease of a guest that ran here is lost; the guest is stopped', { domain: domain.name, uuid: domain.uuid });
    domain.warn(
      'The lease of this guest is lost: another host may run it. It is stopped here; find out which copy is to live, then resume or destroy this one.',
    );
  }

  #again(domain: Domain, thrown: unknown, act: () => void): void {
    const { clock, log, retryMs } = this.#context;
    if (domain.guest?.alive !== true) return;
    log.warn('whether the lease of a guest is held could not be settled; it is tried again', {
      domain: domain.name,
      error: VmferryError.from(thrown),
    });
    clock.after(retryMs, act);
  }
}

async function runningGuest({ guest }: Domain): Promise<Guest | null> {
  if (guest?.alive !== true) return null;
  const { status } = await guest.qmp.execute('query-status', {});
  return status === 'running' ? guest : null;
}
