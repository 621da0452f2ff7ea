import { VmferryError } from '@vmferry/errors';
import { sleep } from '@vmferry/seams';
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
    const created = await create(drive, interruption);
    if (created === 'unknown') return exitCodes.attention;
    if (created === 'withdrawn') {
      reporter.note('the request was withdrawn before the migration had begun; nothing has happened');
      return exitCodes.interrupted;
    }
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
    const { signal } = new AbortController();
    return (await create(drive, { wanted: signal, detached: signal })) === 'created' ? exitCodes.done : exitCodes.attention;
  } catch (thrown) {
    throw thrown instanceof NotCreated ? thrown.cause : thrown;
  }
}

/** The request was refused or never left: nothing has happened. */
class NotCreated extends Error {}

/** Reasons of 'peer-unreachable' for which no byte of a request has left. */
const neverSent = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

/** The agent begins nothing for a caller who has left; what it was about to begin then is there after this time. */
const begunByThenMs = 1_000;

/**
 * A reply that was lost says nothing about the migration, and neither does a request that was withdrawn: the agent is asked for its
 * id then.
 */
async function create(
  { context, source, wish, reporter }: Drive,
  { wanted, detached }: Pick<Interruption, 'wanted' | 'detached'>,
): Promise<'created' | 'withdrawn' | 'unknown'> {
  try {
    await source.migrate(wish, { signal: wanted });
    return 'created';
  } catch (thrown) {
    const isLost = VmferryError.is(thrown, 'peer-unreachable') && !neverSent.includes(String(thrown.data.reason));
    if (!isLost && !wanted.aborted) throw new NotCreated('refused', { cause: thrown });
    try {
      if (wanted.aborted) await sleep(context.clock, begunByThenMs, detached);
      await patiently(context.clock, detached, () => source.migration(wish.id, {}, { signal: detached }));
      return 'created';
    } catch (later) {
      detached.throwIfAborted();
      if (VmferryError.is(later, 'migration-not-found') && wanted.aborted) return 'withdrawn';
      if (VmferryError.is(later, 'migration-not-found')) throw new NotCreated('never taken', { cause: thrown });
      lostSight(reporter, later, wish.id);
      return 'unknown';
    }
  }
}
