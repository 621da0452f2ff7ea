import { VmferryError } from '@vmferry/errors';
import {
  type Coordination,
  coordinate,
  type Protocol,
  refuseOfflineIn,
  refuseParallelIn,
  type StepName,
} from '@vmferry/migration';
import { type Clock, type Random, systemRandom } from '@vmferry/seams';
import type { CallOptions } from '../caller.js';
import type { DestinationEnd, SourceEnd } from './ends.js';
import { HeldSession } from './held-session.js';
import { type ManagedRequest, ManagedSteps, type ManagedStepsOptions } from './managed-steps.js';
import { ManagedStepsV2 } from './managed-steps-v2.js';
import { checkSides, checkWay, sourceFlags } from './preconditions.js';

export interface ManagedMigrationOptions {
  readonly source: SourceEnd;
  readonly destination: DestinationEnd;
  readonly request: ManagedRequest;
  readonly clock: Clock;
  /** TTL of the control sessions in seconds, 1 to 300; the agents' default when it is not given. */
  readonly sessionTtlSeconds?: number;
  /** Makes the nonce of a migration of v2; the system's when it is not given. */
  readonly random?: Random;
  /** Called as each step begins. */
  readonly entered?: (step: StepName) => void;
  /** Called once the source-agent has the migration's resource: after Begin, or in v2 while Perform is under way. */
  readonly begun?: () => void;
  /** A control session was lost: the agent settles its side by itself, and the steps will say so. */
  readonly sessionLost?: (side: 'source' | 'destination', error: VmferryError) => void;
  /** Stops driving: requests are aborted, the sessions are ended, and the agents settle the migration by themselves. */
  readonly signal?: AbortSignal;
}

/**
 * A migration whose steps this client drives over HTTP at both agents, with a control session at each: the five of v3, or those of v2
 * for a destination that offers nothing else. The same coordinator drives a peer-to-peer migration inside the source-agent.
 *
 * `run` returns with what the outcome record said: `committed` is success. Any other outcome but `aborted` is not decided yet: the
 * source-agent goes on asking by itself, and its migration resource tells the end. Refusals before Begin, and Begin's own error, are
 * thrown: nothing has happened then.
 */
export class ManagedMigration {
  readonly #options: ManagedMigrationOptions;
  #hasBegun = false;
  #isCancelled = false;

  constructor(options: ManagedMigrationOptions) {
    if (options.request.flags.includes('PEER2PEER')) {
      throw new VmferryError('invalid-argument', 'A managed migration is not peer-to-peer; leave the flag PEER2PEER out.');
    }
    this.#options = options;
  }

  async run(): Promise<Coordination> {
    const { source, destination, signal } = this.#options;
    const call: CallOptions = signal === undefined ? {} : { signal };
    const [atSource, atDestination] = await Promise.all([source.version(call), destination.version(call)]);
    const protocol = checkSides(atSource, atDestination);
    const { flags, ...rest } = this.#options.request;
    refuseOfflineIn(protocol, flags);
    refuseParallelIn(protocol, flags);
    checkWay(this.#options.request, atSource, atDestination);
    const request = { ...rest, flags: protocol === 'v3' ? sourceFlags(flags, atSource) : flags };
    const sourceSession = await this.#hold('source', source);
    try {
      const destinationSession = await this.#hold('destination', destination);
      try {
        return await this.#drive(protocol, request, { source: sourceSession.id, destination: destinationSession.id }, call);
      } finally {
        await destinationSession.close();
      }
    } finally {
      await sourceSession.close();
    }
  }

  /**
   * Asks for a cancel; `run` tells what came of it, for QEMU may complete first (handover rule 1). Before Perform it is
   * honoured by this client itself; afterwards the source-agent is asked.
   */
  async cancel(): Promise<void> {
    this.#isCancelled = true;
    if (this.#hasBegun) await this.#options.source.cancelMigration(this.#options.request.id);
  }

  #drive(
    protocol: Protocol,
    request: ManagedRequest,
    sessions: ManagedStepsOptions['sessions'],
    call: CallOptions,
  ): Promise<Coordination> {
    const { source, destination, clock, random = systemRandom } = this.#options;
    const options = { source, destination, request, sessions, call, isCancelled: () => this.#isCancelled };
    const now = () => clock.wall();
    if (protocol === 'v2') {
      const steps = new ManagedStepsV2({ ...options, clock, random, begun: () => this.#begunInPerform() });
      return coordinate(steps, now, (step) => this.#options.entered?.(step));
    }
    return coordinate(new ManagedSteps(options), now, (step) => {
      if (step === 'prepare') this.#begun();
      this.#options.entered?.(step);
    });
  }

  #begun(): void {
    this.#hasBegun = true;
    this.#options.begun?.();
  }

  /** In v2 a cancel may have come while Perform was sent and the source did not know of the migration yet. */
  #begunInPerform(): void {
    this.#begun();
    // How Perform ends tells what came of it.
    if (this.#isCancelled) this.#options.source.cancelMigration(this.#options.request.id).catch(() => undefined);
  }

  #hold(side: 'source' | 'destination', end: SourceEnd | DestinationEnd): Promise<HeldSession> {
    const { clock, sessionTtlSeconds, sessionLost, signal } = this.#options;
    return HeldSession.open(end, {
      clock,
      onLost: (error) => sessionLost?.(side, error),
      ...(sessionTtlSeconds === undefined ? {} : { ttlSeconds: sessionTtlSeconds }),
      ...(signal === undefined ? {} : { signal }),
    });
  }
}
