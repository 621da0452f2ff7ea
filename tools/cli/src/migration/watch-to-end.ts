import type { MigrationResource } from '@vmferry/api';
import type { DestinationAgentClient, SourceAgentClient } from '@vmferry/client';
import { type ErrorCode, VmferryError } from '@vmferry/errors';
import { type Clock, sleep, type Timer } from '@vmferry/seams';

export interface WatchOptions {
  readonly clock: Clock;
  /** Stops watching; the migration goes on. */
  readonly signal: AbortSignal;
  readonly changed: (migration: MigrationResource) => void;
}

type Agent = SourceAgentClient | DestinationAgentClient;

/** How long a migration that needs attention is watched on: an agent that was killed comes back and settles it (I11). */
export const attentionMsMax = 30_000;
const pauseMs = 500;
const silenceMsMax = 30_000;

/** No other way of asking changes these. */
const refusals: readonly ErrorCode[] = ['migration-not-found', 'unauthenticated', 'forbidden', 'invalid-argument'];

/**
 * Watches a migration until it is finished, or has needed attention for 30 s, and returns it as it is then. Survives the agent's
 * restart. Throws when the agent refuses, or stays away for about a minute; throws the signal's reason when that is aborted.
 */
export async function watchToEnd(agent: Agent, id: string, options: WatchOptions): Promise<MigrationResource> {
  const patience = new Patience(options.clock);
  const signal = AbortSignal.any([options.signal, patience.signal]);
  let last: MigrationResource | null = null;
  try {
    for await (const migration of changesOf(agent, id, options.clock, signal)) {
      last = migration;
      patience.look(migration);
      options.changed(migration);
      if (migration.finishedAt !== null) return migration;
    }
  } catch (thrown) {
    if (last === null || !patience.signal.aborted) throw thrown;
  } finally {
    patience.end();
  }
  if (last !== null) return last;
  throw new VmferryError('peer-nonsense', `The agent at ${agent.baseUrl} told nothing of migration ${id}.`);
}

/** By events; by long polls where a stream of events does not come through. */
async function* changesOf(
  agent: Agent,
  id: string,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<MigrationResource, void, undefined> {
  let generation = -1;
  try {
    for await (const migration of agent.watch(id, { clock, signal })) {
      if (migration.generation === generation) continue;
      generation = migration.generation;
      yield migration;
    }
    return;
  } catch (thrown) {
    signal.throwIfAborted();
    if (!(thrown instanceof VmferryError) || refusals.includes(thrown.code)) throw thrown;
  }
  yield* polled(agent, id, generation, clock, signal);
}

async function* polled(
  agent: Agent,
  id: string,
  known: number,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<MigrationResource, void, undefined> {
  let generation = known;
  // A restarted agent may count its generations from a lower number: then the first answer must come at once.
  let isPresent = false;
  let silentSinceMs: number | null = null;
  for (;;) {
    try {
      const migration = await agent.migration(id, isPresent ? { afterGeneration: generation, timeoutSeconds: 30 } : {}, {
        signal,
      });
      isPresent = true;
      silentSinceMs = null;
      if (migration.generation !== generation) yield migration;
      else await sleep(clock, pauseMs, signal);
      generation = migration.generation;
    } catch (thrown) {
      signal.throwIfAborted();
      isPresent = false;
      silentSinceMs ??= clock.monotonicMs();
      const isOver = clock.monotonicMs() - silentSinceMs > silenceMsMax;
      if (!(thrown instanceof VmferryError) || !thrown.row.retryable || isOver) throw thrown;
      await sleep(clock, pauseMs, signal);
    }
  }
}

/** Ends the watch when a migration has needed attention, or only had to be tidied up, for too long. */
class Patience {
  readonly #clock: Clock;
  readonly #over = new AbortController();
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  look({ state }: MigrationResource): void {
    if (state === 'PENDING' || state === 'RUNNING' || state === 'CANCELLING') this.end();
    else this.#timer ??= this.#clock.after(attentionMsMax, () => this.#over.abort());
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
