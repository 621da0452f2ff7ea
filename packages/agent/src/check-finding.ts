import type { CheckFinding } from '@vmferry/api';
import type { VmferryError } from '@vmferry/errors';

/** An error as a check tells it; one that another host has told keeps its side. */
export function blockerOf({ code, message, place, errors, data }: VmferryError, side: CheckFinding['side']): CheckFinding {
  const path = errors[0]?.path ?? (typeof data.path === 'string' ? data.path : undefined);
  return {
    code,
    side: place.side === 'source' || place.side === 'destination' ? place.side : side,
    detail: message,
    ...(path === undefined ? {} : { path }),
  };
}
