import { type MigrationResource, migrationResource } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { type Clock, sleep, systemClock } from '@vmferry/seams';
import type { Caller, CallOptions } from './caller.js';
import { readEvents } from './events.js';

const pauseMs = 1_000;
const failuresMax = 30;

/**
 * A migration as it changes, until it is done. A connection that ends before is opened again behind the last change that was read;
 * 30 failures in a row, a second apart, throw the last of them.
 */
export async function* watchMigration(
  caller: Caller,
  id: string,
  options: CallOptions & { readonly clock?: Clock } = {},
): AsyncGenerator<MigrationResource, void, undefined> {
  const clock = options.clock ?? systemClock;
  let lastEventId: number | undefined;
  for (let failures = 0; ; ) {
    try {
      const path = `/v1/migrations/${encodeURIComponent(id)}/events`;
      for await (const { event, id: generation, data } of readEvents(caller, path, { ...options, lastEventId })) {
        if (event === 'overflow') break;
        failures = 0;
        lastEventId = generation ?? lastEventId;
        yield parse(data);
        if (event === 'done') return;
      }
    } catch (thrown) {
      failures += 1;
      if (!VmferryError.is(thrown, 'peer-unreachable') || failures >= failuresMax) throw thrown;
    }
    await sleep(clock, pauseMs, options.signal);
  }
}

function parse(data: string): MigrationResource {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new VmferryError('peer-nonsense', 'An event of the migration is not JSON.', { cause });
  }
  const result = migrationResource.safeParse(value);
  if (result.success) return result.data;
  throw new VmferryError('peer-nonsense', 'An event of the migration is not of the contract.', { cause: result.error });
}
