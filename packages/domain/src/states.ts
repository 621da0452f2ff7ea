import { VmferryError } from '@vmferry/errors';

/** States with their reasons and libvirt's numbers (libvirt-protocol, A9). The position of a state is its number. */
const reasons = {
  nostate: { unknown: 0 },
  running: {
    unknown: 0,
    booted: 1,
    migrated: 2,
    restored: 3,
    'from-snapshot': 4,
    unpaused: 5,
    'migration canceled': 6,
    'save canceled': 7,
  },
  blocked: { unknown: 0 },
  paused: { unknown: 0, user: 1, migration: 2, save: 3, dump: 4, ioerror: 5, watchdog: 6, 'from-snapshot': 7 },
  shutdown: { unknown: 0, user: 1 },
  shutoff: { unknown: 0, shutdown: 1, destroyed: 2, crashed: 3, migrated: 4, saved: 5, failed: 6, 'from-snapshot': 7 },
  crashed: { unknown: 0 },
} as const;

type Reasons = typeof reasons;
export type DomainState = keyof Reasons;

/** A state and one of its own reasons (S48): no other pair type-checks. */
export type StateWithReason = { [S in DomainState]: { readonly state: S; readonly reason: keyof Reasons[S] } }[DomainState];

export function stateNumber({ state }: StateWithReason): number {
  return Object.keys(reasons).indexOf(state);
}

export function reasonNumber({ state, reason }: StateWithReason): number {
  const numbers: Readonly<Record<string, number>> = reasons[state];
  return numbers[reason] ?? 0;
}

/** Reads a pair that was stored as text; a pair that does not exist is `definition-invalid`. */
export function parseState(state: string, reason: string): StateWithReason {
  if (Object.hasOwn(reasons, state)) {
    const known: object = reasons[state as DomainState];
    // Both halves were just found in the table that the type is made of.
    if (Object.hasOwn(known, reason)) return { state, reason } as StateWithReason;
  }
  throw new VmferryError('definition-invalid', `There is no domain state "${state}" with the reason "${reason}".`);
}
