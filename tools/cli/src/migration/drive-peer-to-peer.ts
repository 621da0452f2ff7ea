import { VmferryError } from '@vmferry/errors';
import { type ExitCode, exitCodes, migrationExitCode } from '../exit-code.js';
import { type Drive, lostSight, stoppedWatching } from './drive.js';
import { Interruption } from './interruption.js';
import { patiently } from './patience.js';
import { watchToEnd } from './watch-to-end.js';

/** Peer-to-peer: the source-agent drives the steps; this command asks for the migration and watches it to its end. */
export async function drivePeerToPeer(drive: Drive): Promise<ExitCode> {
  const { context, source, wish, reporter } = drive;
  const { clock } = context;
  const interruption = new Interruption(context, reporter);
  try {
    const created = await create(drive, interruption.detached);
    if (created === 'unknown') return exitCodes.attention;
    interruption.arm(() => patiently(clock, interruption.detached, () => source.cancelMigration(wish.id)));
    const changed = reporter.changed.bind(reporter);
    const last = await watchToEnd(source, wish.id, { clock, signal: interruption.detached, changed });
    reporter.ended(last, null);
    return migrationExitCode(last, interruption.cancelAsked);
  } catch (thrown) {
    if (interruption.detached.aborted) return stoppedWatching(reporter, wish.id);
    if (thrown instanceof NotCreated) throw thrown.cause;
    return lostSight(reporter, thrown, wish.id);
  } finally {
    interruption.release();
  }
}

/** With --detach: asks for the migration and leaves it to the agent. */
export async function detach(drive: Drive): Promise<ExitCode> {
  try {
    return (await create(drive, new AbortController().signal)) === 'created' ? exitCodes.done : exitCodes.attention;
  } catch (thrown) {
    throw thrown instanceof NotCreated ? thrown.cause : thrown;
  }
}

/** The request was refused or never left: nothing has happened. */
class NotCreated extends Error {}

/** Reasons of 'peer-unreachable' for which no byte of a request has left. */
const neverSent = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

/** A reply that was lost says nothing about the migration; the agent is asked for its id then. */
async function create({ context, source, wish, reporter }: Drive, signal: AbortSignal): Promise<'created' | 'unknown'> {
  try {
    await source.migrate(wish, { signal });
    return 'created';
  } catch (thrown) {
    signal.throwIfAborted();
    const isLost = VmferryError.is(thrown, 'peer-unreachable') && !neverSent.includes(String(thrown.data.reason));
    if (!isLost) throw new NotCreated('refused', { cause: thrown });
    try {
      await patiently(context.clock, signal, () => source.migration(wish.id, {}, { signal }));
      return 'created';
    } catch (later) {
      if (VmferryError.is(later, 'migration-not-found')) throw new NotCreated('never taken', { cause: thrown });
      lostSight(reporter, later, wish.id);
      return 'unknown';
    }
  }
}
