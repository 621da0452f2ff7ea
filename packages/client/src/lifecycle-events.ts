import { type LifecycleEventDocument, lifecycleEvent } from '@vmferry/api';
import type { Clock } from '@vmferry/seams';
import type { Caller, CallOptions } from './caller.js';
import { documentIn, followEvents } from './follow-events.js';

export interface LifecycleOptions extends CallOptions {
  readonly clock?: Clock;
  /** Begins behind this event, as far as it is kept; 0 for all that is kept. Without it with what happens from now on. */
  readonly afterId?: number | undefined;
  /** Only those of one domain, by name or uuid. */
  readonly domain?: string | undefined;
}

/** The lifecycle events of an agent, one after the other, until nobody asks for the next or the signal aborts. */
export async function* lifecycleEvents(
  caller: Caller,
  { afterId, domain, ...options }: LifecycleOptions,
): AsyncGenerator<LifecycleEventDocument, void, undefined> {
  const path = domain === undefined ? '/v1/events' : `/v1/events?domain=${encodeURIComponent(domain)}`;
  for await (const event of followEvents(caller, path, { ...options, lastEventId: afterId }))
    yield documentIn(event, lifecycleEvent, 'the lifecycle');
}
