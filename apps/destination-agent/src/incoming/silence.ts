import type { StreamResource } from '@vmferry/api';

type Heard = Pick<StreamResource, 'msSinceLastByte' | 'closedAt'>;

/**
 * How long nothing has come over any of these streams, in milliseconds; null before the first byte. Of a parallel migration the main channel may have
 * nothing to say for a whole pass.
 */
export function silentMsOf(streams: readonly Heard[]): number | null {
  const silences = streams.map(({ msSinceLastByte }) => msSinceLastByte).filter((ms) => ms !== null);
  return silences.length === 0 ? null : Math.min(...silences);
}
