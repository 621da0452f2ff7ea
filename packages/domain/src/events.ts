import type { StateWithReason } from './states.js';

/** Lifecycle events with their details and libvirt's numbers (libvirt-protocol, A9). The position of an event is its number. */
const details = {
  defined: { added: 0, updated: 1 },
  undefined: { removed: 0 },
  started: { booted: 0, migrated: 1, restored: 2 },
  suspended: { paused: 0, migrated: 1, ioerror: 2, watchdog: 3 },
  resumed: { unpaused: 0, migrated: 1 },
  stopped: { shutdown: 0, destroyed: 1, crashed: 2, migrated: 3, saved: 4, failed: 5 },
} as const;

type Details = typeof details;
export type LifecycleEventName = keyof Details;

/** An event and one of its own details. */
export type LifecycleEvent = {
  [E in LifecycleEventName]: { readonly event: E; readonly detail: keyof Details[E] };
}[LifecycleEventName];

export function eventNumber({ event }: LifecycleEvent): number {
  return Object.keys(details).indexOf(event);
}

export function eventDetailNumber({ event, detail }: LifecycleEvent): number {
  const numbers: Readonly<Record<string, number>> = details[event];
  return numbers[detail] ?? 0;
}

/**
 * What libvirt tells when a domain that was last told as `told` is now `now`, in the order in which it tells it (libvirt-protocol, A9). A new
 * reason of the same state is no event. `panicked`: the guest ended by its own fault; a QEMU that ended by itself is `failed`, and shutoff/crashed too.
 */
export function eventsBetween(
  told: StateWithReason,
  now: StateWithReason,
  o: { readonly panicked: boolean } = { panicked: false },
): readonly LifecycleEvent[] {
  if (!isActive(now)) return isActive(told) ? [{ event: 'stopped', detail: stoppedDetail(now, o.panicked) }] : [];
  const started: readonly LifecycleEvent[] = isActive(told) ? [] : [{ event: 'started', detail: startedDetail(now) }];
  if (now.state === 'paused' && told.state !== 'paused')
    return [...started, { event: 'suspended', detail: suspendedDetail(now) }];
  if (now.state === 'running' && told.state === 'paused') return [{ event: 'resumed', detail: resumedDetail(now) }];
  return started;
}

function isActive({ state }: StateWithReason): boolean {
  return state === 'running' || state === 'blocked' || state === 'paused' || state === 'shutdown';
}

/** A reason that names no detail of this event: the guest of a definition that was started. */
function startedDetail({ reason }: StateWithReason): keyof Details['started'] {
  return reason === 'migrated' || reason === 'restored' ? reason : 'booted';
}

function suspendedDetail({ reason }: StateWithReason): keyof Details['suspended'] {
  if (reason === 'migration') return 'migrated';
  return reason === 'ioerror' || reason === 'watchdog' ? reason : 'paused';
}

function resumedDetail({ reason }: StateWithReason): keyof Details['resumed'] {
  return reason === 'migrated' || reason === 'migration canceled' ? 'migrated' : 'unpaused';
}

function stoppedDetail({ reason }: StateWithReason, panicked: boolean): keyof Details['stopped'] {
  if (reason === 'crashed') return panicked ? 'crashed' : 'failed';
  return reason === 'shutdown' || reason === 'destroyed' || reason === 'migrated' || reason === 'saved' ? reason : 'failed';
}
