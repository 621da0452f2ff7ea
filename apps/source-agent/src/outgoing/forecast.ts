import type { MigrationForecast } from '@vmferry/api';
import { firstDowntimeLimitMs, shrinkFactor } from './convergence.js';

export interface ForecastBasis {
  readonly memoryBytes: number;
  readonly dirtyRateBytesPerSec: number | null;
  readonly bandwidthBytesPerSec: number | null;
  readonly downtimeMsMax: number;
  /** Whether the guest runs now, and while it is sent. */
  readonly running: boolean;
  readonly live: boolean;
  /** Why a figure above is missing. */
  readonly missing: string | null;
}

/** Nothing is sent, nobody stands still: the durable writes at both hosts are all that it takes. */
export function offlineForecast({
  memoryBytes,
  downtimeMsMax,
}: Pick<ForecastBasis, 'memoryBytes' | 'downtimeMsMax'>): MigrationForecast {
  const basis = { memoryBytes, dirtyRateBytesPerSec: null, bandwidthBytesPerSec: null, downtimeMsMax };
  const reason = 'It is offline: its definition goes over, and no memory is sent.';
  return { durationMs: null, downtimeMs: 0, converges: true, reason, basis };
}

type Figures = Pick<MigrationForecast, 'durationMs' | 'downtimeMs' | 'converges' | 'reason'>;

/**
 * How a migration would go, pass by pass: each sends what the one before has left, and leaves what the guest dirties meanwhile. It is
 * optimistic about the rates, which are taken as steady, and pessimistic about the guest, which is taken to dirty other pages all the time.
 */
export function forecastOf(o: ForecastBasis): MigrationForecast {
  const { memoryBytes, dirtyRateBytesPerSec, bandwidthBytesPerSec, downtimeMsMax } = o;
  return { ...figuresOf(o), basis: { memoryBytes, dirtyRateBytesPerSec, bandwidthBytesPerSec, downtimeMsMax } };
}

function figuresOf(o: ForecastBasis): Figures {
  const { memoryBytes, bandwidthBytesPerSec, dirtyRateBytesPerSec, running, live, missing } = o;
  const dirties = running && live;
  if (bandwidthBytesPerSec === null)
    return { durationMs: null, downtimeMs: null, converges: dirties ? null : true, reason: missing };
  const onceMs = msOf(memoryBytes, bandwidthBytesPerSec);
  if (!dirties) return { durationMs: onceMs, downtimeMs: running ? onceMs : 0, converges: true, reason: null };
  if (dirtyRateBytesPerSec === null) return { durationMs: null, downtimeMs: null, converges: null, reason: missing };
  return passes(memoryBytes, dirtyRateBytesPerSec, bandwidthBytesPerSec, o.downtimeMsMax);
}

/** The limit is raised as `Convergence` raises it: when a pass leaves no less. */
function passes(memoryBytes: number, dirtyPerSec: number, sentPerSec: number, downtimeMsMax: number): Figures {
  let limitMs = Math.min(firstDowntimeLimitMs, downtimeMsMax);
  let durationMs = 0;
  for (let left = memoryBytes; ; ) {
    const passMs = (left / sentPerSec) * 1_000;
    durationMs += passMs;
    if (passMs <= limitMs)
      return { durationMs: Math.ceil(durationMs), downtimeMs: Math.ceil(passMs), converges: true, reason: null };
    const dirtied = Math.min(memoryBytes, (dirtyPerSec * passMs) / 1_000);
    if (dirtied > left * shrinkFactor) {
      if (limitMs === downtimeMsMax)
        return { durationMs: null, downtimeMs: null, converges: false, reason: stuck(dirtyPerSec, sentPerSec) };
      limitMs = downtimeMsMax;
    }
    left = dirtied;
  }
}

const stuck = (dirtyPerSec: number, sentPerSec: number): string =>
  `The guest dirties ${mib(dirtyPerSec)} MiB/s and ${mib(sentPerSec)} MiB/s are sent: give more bandwidth, a larger downtimeMsMax, or a timeout that pauses it.`;

const mib = (bytes: number): number => Math.round(bytes / 1_048_576);

const msOf = (bytes: number, bytesPerSec: number): number => Math.ceil((bytes / bytesPerSec) * 1_000);
