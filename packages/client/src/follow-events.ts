import type { z } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { type Clock, sleep, systemClock } from '@vmferry/seams';
import type { Caller, CallOptions } from './caller.js';
import { readEvents, type ServerEvent } from './events.js';

const pauseMs = 1_000;
const failuresMax = 30;

export interface FollowOptions extends CallOptions {
  readonly clock?: Clock;
  /** Behind which event the first connection begins. */
  readonly lastEventId?: number | undefined;
}

/**
 * The events at a path, for as long as they are asked for. A connection that ends is opened again behind the last event that was read; 30
 * failures in a row, a second apart, throw the last of them.
 */
export async function* followEvents(
  caller: Caller,
  path: string,
  options: FollowOptions = {},
): AsyncGenerator<ServerEvent, void, undefined> {
  const clock = options.clock ?? systemClock;
  let { lastEventId } = options;
  for (let failures = 0; ; ) {
    try {
      for await (const event of readEvents(caller, path, { ...options, lastEventId })) {
        if (event.event === 'overflow') break;
        failures = 0;
        lastEventId = event.id ?? lastEventId;
        if (event.data !== '') yield event;
      }
    } catch (thrown) {
      failures += 1;
      if (!VmferryError.is(thrown, 'peer-unreachable') || failures >= failuresMax) throw thrown;
    }
    await sleep(clock, pauseMs, options.signal);
  }
}

/** The document in an event; `what` names it in the error. */
export function documentIn<S extends z.ZodType>({ data }: ServerEvent, schema: S, what: string): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new VmferryError('peer-nonsense', `An event of ${what} is not JSON.`, { cause });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new VmferryError('peer-nonsense', `An event of ${what} is not of the contract.`, { cause: result.error });
}
