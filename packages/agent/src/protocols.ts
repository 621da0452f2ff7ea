import { VmferryError } from '@vmferry/errors';
import type { LockDriver } from '@vmferry/locking';
import type { Protocol } from '@vmferry/migration';

/**
 * The migration protocols that an agent offers: what it was told to, without v2 when the lock driver uses state, which v2 does not carry
 * from host to host in time (S23).
 */
export class Protocols {
  readonly offered: readonly Protocol[];
  readonly #locks: Pick<LockDriver, 'name' | 'usesState'>;

  /** Throws `invalid-argument` when nothing is left to offer. */
  constructor(wanted: readonly Protocol[], locks: Pick<LockDriver, 'name' | 'usesState'>) {
    this.#locks = locks;
    this.offered = wanted.filter((protocol) => protocol !== 'v2' || !locks.usesState);
    if (this.offered.length > 0) return;
    throw new VmferryError(
      'invalid-argument',
      `The lock driver ${locks.name} uses state, so that v2 cannot be the only protocol.`,
    );
  }

  /** Before any side effect of a step of `protocol`: throws `peer-protocol`. */
  refuseUnless(protocol: Protocol): void {
    if (this.offered.includes(protocol)) return;
    const why =
      protocol === 'v2' && this.#locks.usesState
        ? `The lock driver ${this.#locks.name} uses state, which protocol v2 does not carry; migrate with v3.`
        : `This agent offers ${this.offered.join(', ')} and not ${protocol}.`;
    throw new VmferryError('peer-protocol', why);
  }
}
