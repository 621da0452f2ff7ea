import { assignAddresses, formatDomain, resolveMachine, unplaceDisplay, withoutConnections } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import {
  attachGuest,
  auditedOf,
  caveatOf,
  detachGuest,
  examineQemu,
  type ForeignQemu,
  type PlacedDisplay,
  resourcesOf,
  startGuest,
} from '@vmferry/guest';
import type { SourceContext } from '../context.js';
import { startFromManaged } from '../saving/start-from-managed.js';
import { refuseIncoming } from './arriving.js';
import { Autodestroy } from './autodestroy.js';
import { refuseElsewhere } from './departures.js';
import type { Domain } from './domain.js';

export interface StartWish {
  readonly paused: boolean;
  /** Also when it may run on the host to which it has been migrated. */
  readonly force?: boolean | undefined;
  /** Boots it also when it has a managed image, which is removed. */
  readonly forceBoot?: boolean | undefined;
  /** The control session with which the guest ends. */
  readonly autodestroy?: string | undefined;
}

/** The lifecycle of a domain as virsh knows it. Each call is a job of the domain; the lease is held before `cont`, always (I3). */
export class Lifecycle {
  readonly #context: SourceContext;
  readonly #autodestroy: Autodestroy;

  constructor(context: SourceContext) {
    this.#context = context;
    this.#autodestroy = new Autodestroy(context);
  }

  /**
   * Machine aliases become versioned names and every PCI address is fixed, so that the target is given the same machine; what a host has decided
   * of its networks, and the ports of its displays, is decided anew at each start.
   */
  async settle(domainXml: ReturnType<typeof assignAddresses>): Promise<string> {
    const capabilities = await this.#context.guestHost.capabilities(domainXml);
    const plain = unplaceDisplay(withoutConnections(domainXml));
    return formatDomain(assignAddresses(resolveMachine(plain, capabilities.machineAliases)));
  }

  async start(domain: Domain, { paused, force, forceBoot, autodestroy }: StartWish, principal: string): Promise<void> {
    const tied = autodestroy === undefined ? null : { session: autodestroy, principal };
    // At once, and again once the job is there: a definition that leaves may hold it for longer than a caller waits.
    if (domain.movesDefinition) domain.refuseUndecided();
    await this.#asJob(domain, 'modify', principal, async () => {
      if (tied !== null) this.#autodestroy.require(tied);
      if (domain.guest !== null) throw activeAlready(domain, domain.guest.alive);
      domain.refuseUndecided();
      await refuseIncoming(this.#context, domain);
      if (force !== true) await refuseElsewhere(this.#context, domain);
      const { managedImages } = this.#context;
      if (forceBoot === true) await managedImages.remove(domain.uuid);
      if (managedImages.has(domain.uuid) && domain.config !== null) {
        await startFromManaged(this.#context, domain, paused);
        if (tied !== null) this.#autodestroy.tie(domain, tied);
        return;
      }
      await this.#boot(domain, paused, () => tied !== null && this.#autodestroy.tie(domain, tied));
    });
  }

  /** Takes a guest that something else has started, once it is found to be what its definition says. It keeps on running. */
  async attach(domain: Domain, qemu: Pick<ForeignQemu, 'pid' | 'monitor'>, principal: string): Promise<void> {
    const { guestHost, auditor, locks } = this.#context;
    await this.#asJob(domain, 'modify', principal, async () => {
      await refuseIncoming(this.#context, domain);
      const examined = await examineQemu(guestHost, { definition: domain.definition, ...qemu });
      const guest = await attachGuest(guestHost, examined);
      try {
        await locks.acquire(domain.uuid, resourcesOf(domain.uuid));
        // Of the reasons that A7 knows this one is true: it was booted, only not by us. The taint says the rest.
        await auditor.domainStart(auditedOf(domain.definition, qemu.pid), 'booted', true);
      } catch (thrown) {
        await locks.release(domain.uuid, resourcesOf(domain.uuid)).catch(() => undefined);
        await detachGuest(guestHost, guest);
        throw thrown;
      }
      domain.attach(guest);
      domain.tell();
      domain.caution(await caveatOf(guest));
    });
  }

  async suspend(domain: Domain, principal: string): Promise<void> {
    await this.#asJob(domain, 'suspend', principal, async () => {
      const guest = domain.activeGuest();
      if (domain.state.state === 'paused') return;
      const migrating = domain.migration !== null;
      await guest.qmp.execute('stop', {});
      // During a migration it is the migration's pause: rollback and destination run the guest (handover rule, "Around it").
      if (migrating) await domain.setState({ state: 'paused', reason: 'migration' });
      else await domain.setState({ state: 'paused', reason: 'user' });
    });
  }

  async resume(domain: Domain, principal: string): Promise<void> {
    await this.#asJob(domain, 'modify', principal, async () => {
      const guest = domain.activeGuest();
      if (domain.state.state === 'running') return;
      domain.refuseUndecided();
      await this.#context.locks.acquire(domain.uuid, resourcesOf(domain.uuid));
      await guest.qmp.execute('cont', {});
      await domain.setState({ state: 'running', reason: 'unpaused' });
      domain.warn(null);
      // What has stopped it may do so again at once, and QEMU's word of that come before this state is written.
      await domain.reconcile();
    });
  }

  /** Presses the power button; the guest may take its time, or not listen. */
  async shutdown(domain: Domain, principal: string): Promise<void> {
    await this.#asJob(domain, 'modify', principal, async () => {
      await domain.activeGuest().qmp.execute('system_powerdown', {});
    });
  }

  async destroy(domain: Domain, principal: string): Promise<void> {
    if (domain.endedUndecided) return this.#asJob(domain, 'destroy', principal, () => domain.giveUpUndecided());
    domain.activeGuest();
    // What a migration has to settle first may need the domain's jobs itself, so it comes before the job.
    await domain.migration?.destroy();
    if (domain.guest === null) return;
    await this.#asJob(domain, 'destroy', principal, async () => {
      await domain.end({ state: 'shutoff', reason: 'destroyed' }, 'destroyed');
    });
  }

  /** `tie` is called when the guest is there and has not run yet; a start whose session is lost by then fails. */
  async #boot(domain: Domain, paused: boolean, tie: () => void): Promise<void> {
    const { guestHost, auditor, locks, clock, departures } = this.#context;
    const audited = (pid?: number) => auditedOf(domain.definition, pid, guestHost.security);
    let placed: PlacedDisplay | null = null;
    try {
      placed = await guestHost.displays.place(domain.definition);
      const guest = await startGuest(guestHost, {
        placed,
        incoming: false,
        persistent: domain.config !== null,
        state: paused ? { state: 'paused', reason: 'user' } : { state: 'running', reason: 'booted' },
        migration: null,
      });
      domain.attach(guest);
      tie();
      await locks.acquire(domain.uuid, resourcesOf(domain.uuid));
      if (!paused) await guest.qmp.execute('cont', {});
      await auditor.domainStart(audited(guest.status.process.pid), 'booted', true);
      departures.delete(domain.uuid);
      domain.tell();
    } catch (thrown) {
      const error = VmferryError.from(thrown);
      const also = (later: unknown) => error.suppress(later, clock.wall());
      await auditor.startFailed(audited(), 'booted').catch(also);
      await domain.end({ state: 'shutoff', reason: 'failed' }, null).catch(also);
      throw error;
    } finally {
      placed?.close();
    }
  }

  async #asJob(
    domain: Domain,
    job: 'modify' | 'suspend' | 'destroy',
    principal: string,
    act: () => Promise<void>,
  ): Promise<void> {
    const release = await domain.jobs.begin(job, principal);
    try {
      await act();
    } finally {
      await release();
    }
  }
}

function activeAlready({ name }: Domain, alive: boolean): VmferryError {
  if (alive) return new VmferryError('domain-running', `The domain ${name} is active already.`);
  return new VmferryError(
    'state-unwritable',
    `The end of the last guest of domain ${name} could not be recorded yet; try again.`,
  );
}
