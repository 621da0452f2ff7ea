import type { OutcomeRecord, SourceWord } from '@vmferry/migration';
import type { Log } from '@vmferry/service';
import type { DestinationContext } from '../context.js';

/**
 * Asks the source agent what it has of the guest (handover rules 4 and 5). An answer from another store, or one that knows nothing
 * of the migration, is no answer.
 */
export async function askSource(context: DestinationContext, record: OutcomeRecord, log: Log): Promise<SourceWord> {
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
