import { VmferryError } from '@vmferry/errors';
import { isBound, type OutcomeRecord, type Permit, permitMatches, type SourceWord } from '@vmferry/migration';
import type { Log } from '@vmferry/service';
import type { DestinationContext } from '../context.js';

/**
 * Asks the source agent what it has of the guest (handover rules 4 and 5). An answer from another store, or one that knows nothing
 * of the migration, is no answer; and of a record that is not bound nobody knows whom to ask.
 */
export async function askSource(context: DestinationContext, record: OutcomeRecord, log: Log): Promise<SourceWord> {
  if (!isBound(record)) return { t: 'silent' };
  try {
    const { id, nonce } = record.key;
    const word = await context.sourceAgent(record.source.url).evidence(id, { nonce, storeId: record.source.storeId });
    if (word.storeId !== record.source.storeId) return { t: 'silent' };
    switch (word.guest) {
      case 'holds':
        return { t: 'holds' };
      case 'gone':
        return { t: 'gone', permit: word.permit, destroyed: word.destroyed, ranOn: word.ranOn };
      case 'unknown':
        return { t: 'silent' };
      default:
        return word.guest satisfies never;
    }
  } catch (error) {
    log.warn('the source agent does not answer', { url: record.source.url, error });
    return { t: 'silent' };
  }
}

/**
 * Protocol v2: the permit, from the source agent itself, which gives it only once it is journalled. Throws `permit-invalid` when there is
 * none, `peer-unreachable` when nobody answers for the source; the record stays as it is then.
 */
export async function askPermit(context: DestinationContext, record: OutcomeRecord): Promise<Permit> {
  const { id, nonce } = record.key;
  if (!isBound(record))
    throw new VmferryError('permit-invalid', `Perform2 of migration ${id} has not begun: no source is known.`);
  const { url, storeId } = record.source;
  const reply = await context.sourceAgent(url).permit(id, { nonce, storeId });
  if (reply.storeId !== storeId) {
    throw new VmferryError('peer-unreachable', `Another source agent than that of migration ${id} answers at ${url}.`, {
      data: { url, reason: 'another store' },
    });
  }
  if (reply.permit !== null && permitMatches(reply.permit, record.permitDigest)) return reply.permit;
  throw new VmferryError(
    'permit-invalid',
    `The source does not permit migration ${id} to finish: its memory is not over there, or it has given up.`,
  );
}
