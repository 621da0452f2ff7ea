import { type MigrationResource, migrationResource } from '@vmferry/api';
import type { Clock } from '@vmferry/seams';
import type { Caller, CallOptions } from './caller.js';
import { documentIn, followEvents } from './follow-events.js';

/** A migration as it changes, until it is done. */
export async function* watchMigration(
  caller: Caller,
  id: string,
  options: CallOptions & { readonly clock?: Clock } = {},
): AsyncGenerator<MigrationResource, void, undefined> {
  for await (const event of followEvents(caller, `/v1/migrations/${encodeURIComponent(id)}/events`, options)) {
    yield documentIn(event, migrationResource, 'the migration');
    if (event.event === 'done') return;
  }
}
