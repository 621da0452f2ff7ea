import type { BreakLeaseRequest, LeaseResource } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { resourcesOf } from '@vmferry/guest';
import type { SourceContext } from '../context.js';

/** The leases of guests, whoever has them: of a host that is dead only another one can break them (threats, row 18). */
export class Leases {
  readonly #context: Pick<SourceContext, 'locks' | 'guestHost'>;

  constructor(context: Pick<SourceContext, 'locks' | 'guestHost'>) {
    this.#context = context;
  }

  async of(uuid: string): Promise<LeaseResource> {
    const { locks } = this.#context;
    const { state, heldByMe } = await locks.inquire(uuid, resourcesOf(uuid));
    return { uuid, driver: locks.name, epoch: state.grants[0]?.epoch ?? '0', heldHere: heldByMe };
  }

  /** Throws `invalid-argument` for what is no proof here, `lease-busy` for an owner that lives, `lease-stale`. */
  async break(uuid: string, { epoch, proof }: BreakLeaseRequest, principal: string): Promise<void> {
    const { locks } = this.#context;
    if (locks.name === 'none') {
      const detail = 'This host takes no leases (lock driver none), so that there is none to break.';
      throw new VmferryError('invalid-argument', detail);
    }
    await this.#refuseLiving(uuid);
    if (proof.t === 'watchdog' && locks.fences !== 'watchdog') throw noWatchdog(locks.name);
    await locks.breakLock(uuid, resourcesOf(uuid), epoch, proof, principal);
  }

  /** A guest that this host has lives, in whichever agent's hand it is; what other hosts do is the driver's to know. */
  async #refuseLiving(uuid: string): Promise<void> {
    if ((await this.#context.guestHost.statuses.read(uuid)) === null) return;
    const detail = `A QEMU of guest ${uuid} is on this host, and its lease with it: end that one (vmferry domain destroy), or let its migration be decided.`;
    throw new VmferryError('lease-busy', detail, { data: { resource: `vm:${uuid}` } });
  }
}

/** What the audit keeps of it. */
export function saidOf({ epoch, proof }: BreakLeaseRequest): string {
  return `epoch=${epoch} ${proof.t}=${proof.t === 'operator' ? proof.statement : proof.by}`;
}

function noWatchdog(driver: string): VmferryError {
  const detail = `The lock driver ${driver} has no watchdog that could prove anything; say who fenced the owner, or who has looked.`;
  return new VmferryError('invalid-argument', detail);
}
