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
