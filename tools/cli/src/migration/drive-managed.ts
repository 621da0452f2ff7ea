import type { MigrationResource } from '@vmferry/api';
import { DestinationAgentClient, ManagedMigration } from '@vmferry/client';
import type { Coordination } from '@vmferry/migration';
import { type ExitCode, exitCodes, migrationExitCode } from '../exit-code.js';
import { clientOptions } from '../leaf.js';
import { type Drive, stoppedWatching } from './drive.js';
import { Interruption } from './interruption.js';
import { watchToEnd } from './watch-to-end.js';

/** Managed: this command drives the steps at both agents, and watches the source-agent's resource meanwhile. */
export async function driveManaged(drive: Drive): Promise<ExitCode> {
  const { context, source, wish, reporter } = drive;
  const { destination, ...request } = wish;
  const { clock } = context;
  const interruption = new Interruption(context, reporter);
  const watch = new SourceWatch(drive, interruption.detached);
  const managed = new ManagedMigration({
    source,
    destination: new DestinationAgentClient(destination, clientOptions(context)),
    request,
    clock,
    signal: interruption.detached,
    sessionLost: (side, error) =>
      reporter.note(`the ${side} lost the control session and settles its side by itself: ${error.message}`),
    begun: () => watch.begin(),
  });
  interruption.arm(() => managed.cancel());
  try {
    const result = await managed.run();
    const last = await watch.ended();
    if (interruption.detached.aborted) return stoppedWatching(reporter, wish.id);
    return conclude(drive, result, last, interruption.cancelAsked);
  } catch (thrown) {
    if (interruption.detached.aborted) return stoppedWatching(reporter, wish.id);
    throw thrown;
  } finally {
    interruption.release();
  }
}

/** Follows the resource from Begin on. What it cannot see is no failure of the migration: the coordinator knows the outcome too. */
class SourceWatch {
  readonly #drive: Drive;
  readonly #signal: AbortSignal;
  #ended: Promise<MigrationResource | null> = Promise.resolve(null);

  constructor(drive: Drive, signal: AbortSignal) {
    this.#drive = drive;
    this.#signal = signal;
  }

  begin(): void {
    const { context, source, wish, reporter } = this.#drive;
    const changed = reporter.changed.bind(reporter);
    this.#ended = watchToEnd(source, wish.id, { clock: context.clock, signal: this.#signal, changed }).catch(() => null);
  }

  ended(): Promise<MigrationResource | null> {
    return this.#ended;
  }
}

function conclude(
  { reporter, wish }: Drive,
  { outcome, error }: Coordination,
  last: MigrationResource | null,
  cancelAsked: boolean,
): ExitCode {
  if (outcome === 'committed' && error !== null)
    reporter.note(`the guest has moved, though a step failed: ${error.message} (${error.code})`);
  if (last !== null) {
    reporter.ended(last, last.state === 'SUCCEEDED' ? null : error);
    return migrationExitCode(last, cancelAsked);
  }
  if (outcome !== 'committed' && error !== null) reporter.failed(error);
  reporter.note(`the outcome record of migration ${wish.id} is ${outcome}; the source-agent could not be watched`);
  if (outcome === 'committed') return exitCodes.done;
  if (outcome !== 'aborted') return exitCodes.attention;
  return cancelAsked ? exitCodes.interrupted : exitCodes.failed;
}
