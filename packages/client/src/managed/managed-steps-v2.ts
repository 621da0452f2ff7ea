import type { FinishReply, MigrationResource, Perform2Reply, PrepareReply } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { ConfirmedOutcome, Steps } from '@vmferry/migration';
import { type Clock, type Random, sleep } from '@vmferry/seams';
import {
  commonOf,
  type ManagedStepsOptions,
  reachOf,
  throwIfCancelled,
  throwUnlessCommitted,
  throwUnlessReached,
} from './managed-steps.js';

export interface ManagedStepsV2Options extends ManagedStepsOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Called once the source-agent has the migration's resource. */
  readonly begun: () => void;
}

/** What stands for Begin's answer: nobody but this client has begun anything yet. */
interface Begun {
  readonly nonce: string;
  readonly xml: string;
  readonly flags: string[];
}

const lookEveryMs = 100;
const confirmWaitMs = 60_000;

/**
 * The same migration in protocol v2, for a destination that offers nothing else: Prepare2, Perform2, Finish2. What is Begin in v3 only
 * looks at the domain here, and what is Confirm only watches the source, which reads the record by itself.
 */
export class ManagedStepsV2 implements Steps<Begun, PrepareReply, Perform2Reply, FinishReply> {
  readonly #o: ManagedStepsV2Options;

  constructor(options: ManagedStepsV2Options) {
    this.#o = options;
  }

  async begin(): Promise<Begun> {
    const { source, request, random, call } = this.#o;
    if (request.xml !== undefined) {
      const detail =
        'Protocol v2 has no step that checks a definition for the destination; leave it out, or migrate peer-to-peer.';
      throw new VmferryError('invalid-argument', detail, { side: 'client' });
    }
    const [{ state }, { xml }] = await Promise.all([source.domain(request.domain, call), source.domainXml(request.domain, call)]);
    if (state !== 'running' && state !== 'paused') {
      throw new VmferryError(
        'domain-not-running',
        `The domain ${request.domain} is ${state}; only a running or paused one is migrated.`,
      );
    }
    const paused = state === 'paused' && !request.flags.includes('PAUSED');
    return { nonce: random.hex(16), xml, flags: [...request.flags, ...(paused ? ['PAUSED'] : [])] };
  }

  async prepare({ nonce, xml, flags }: Begun): Promise<PrepareReply> {
    throwIfCancelled(this.#o);
    const { destination, request, sessions, call } = this.#o;
    const tunnelled = flags.includes('TUNNELLED');
    const body = { ...commonOf(request, nonce), ...reachOf(request), flags, xml, session: sessions.destination };
    const prepared = await (tunnelled
      ? destination.prepareTunnel2(request.id, body, call)
      : destination.prepare2(request.id, body, call));
    throwUnlessReached(prepared, tunnelled);
    return prepared;
  }

  async perform({ nonce, flags }: Begun, { cookie, uri }: PrepareReply): Promise<Perform2Reply> {
    throwIfCancelled(this.#o);
    const { source, request, sessions, call } = this.#o;
    const { id, domain, downtimeMsMax, timeouts } = request;
    const body = {
      ...commonOf(request, nonce),
      ...(uri === null ? {} : { uri }),
      ...(downtimeMsMax === undefined ? {} : { downtimeMsMax }),
      ...(timeouts === undefined ? {} : { timeouts }),
      domain,
      cookie,
      flags,
      session: sessions.source,
    };
    const over = new AbortController();
    const looked = this.#awaitResource(over.signal);
    try {
      return await source.perform2(id, body, call);
    } finally {
      over.abort();
      await looked;
    }
  }

  /** Without a permit: the destination fetches it, and not if Perform failed. */
  async finish({ nonce, flags }: Begun, performed: Perform2Reply | null): Promise<FinishReply> {
    const { destination, request, call } = this.#o;
    const { id, destinationName } = request;
    const name = destinationName === undefined ? {} : { destinationName };
    const finished = await destination.finish2(id, { nonce, flags, ...name, cancelled: performed === null }, call);
    if (performed !== null) throwUnlessCommitted(finished);
    return finished;
  }

  /** The source acts on the record without being asked; a migration that it never heard of has happened to the destination alone. */
  async confirm(_: Begun, finished: FinishReply | null): Promise<ConfirmedOutcome> {
    const { clock } = this.#o;
    const endMs = clock.monotonicMs() + confirmWaitMs;
    try {
      let told = await this.#resource();
      while (told.finishedAt === null && clock.monotonicMs() < endMs) told = await this.#resource(told.generation);
      if (told.finishedAt === null) return told.outcome ?? 'pending';
      return told.outcome ?? 'aborted';
    } catch (thrown) {
      if (VmferryError.is(thrown, 'migration-not-found')) return finished?.outcome ?? 'aborted';
      throw thrown;
    }
  }

  #resource(afterGeneration?: number): Promise<MigrationResource> {
    const { source, request, call } = this.#o;
    const wait = afterGeneration === undefined ? {} : { afterGeneration, timeoutSeconds: 10 };
    return source.migration(request.id, wait, call);
  }

  /** Perform2 makes the resource at its beginning and answers at its end: somebody has to look, for the last time when it is over. */
  async #awaitResource(over: AbortSignal): Promise<void> {
    for (;;) {
      const isLast = over.aborted;
      try {
        await this.#resource();
        this.#o.begun();
        return;
      } catch {
        // Not there yet, or not to be had now; whether Perform2 goes well is told by itself.
        if (isLast) return;
        await sleep(this.#o.clock, lookEveryMs, over).catch(() => undefined);
      }
    }
  }
}
