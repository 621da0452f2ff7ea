import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ForecastBasis, forecastOf } from './forecast.js';

const mib = 1_048_576;
const basis: ForecastBasis = {
  memoryBytes: 1_024 * mib,
  dirtyRateBytesPerSec: 32 * mib,
  bandwidthBytesPerSec: 128 * mib,
  downtimeMsMax: 300,
  running: true,
  live: true,
  missing: null,
};

describe('a forecast', () => {
  it('adds up the passes', () => {
    // 8 s, 2 s, 500 ms, 125 ms, 31 ms, 8 ms: the last one fits into the first limit.
    expect(forecastOf(basis)).toMatchObject({ durationMs: 10_665, downtimeMs: 8, converges: true, reason: null });
  });

  it.each<[string, Partial<ForecastBasis>, object]>([
    ['a guest that dirties nothing', { dirtyRateBytesPerSec: 0 }, { durationMs: 8_000, downtimeMs: 0, converges: true }],
    ['one that dirties as fast as is sent', { dirtyRateBytesPerSec: 128 * mib }, { durationMs: null, converges: false }],
    ['a guest that is paused for it', { live: false }, { durationMs: 8_000, downtimeMs: 8_000, converges: true }],
    ['a guest that stands still', { running: false }, { durationMs: 8_000, downtimeMs: 0, converges: true }],
    [
      'no known bandwidth',
      { bandwidthBytesPerSec: null, missing: 'none was given' },
      { durationMs: null, downtimeMs: null, converges: null, reason: 'none was given' },
    ],
    [
      'no measured dirty rate',
      { dirtyRateBytesPerSec: null, missing: 'this QEMU cannot' },
      { durationMs: null, converges: null, reason: 'this QEMU cannot' },
    ],
  ])('of %s', (_, change, figures) => {
    expect(forecastOf({ ...basis, ...change })).toMatchObject(figures);
  });

  it('ends whatever the figures are, keeps within the downtime that may be, and sends all of it at least once', () => {
    const bytes = fc.integer({ min: 1, max: 2 ** 45 });
    fc.assert(
      fc.property(bytes, fc.nat(2 ** 40), bytes, fc.integer({ min: 1, max: 60_000 }), (memory, dirty, sent, downtimeMsMax) => {
        const figures = { memoryBytes: memory, dirtyRateBytesPerSec: dirty, bandwidthBytesPerSec: sent, downtimeMsMax };
        const { durationMs, downtimeMs, converges, reason } = forecastOf({ ...basis, ...figures });
        expect(converges).not.toBeNull();
        expect([durationMs === null, downtimeMs === null, reason !== null]).toEqual(Array.from({ length: 3 }, () => !converges));
        if (dirty <= sent * 0.5) expect(converges).toBe(true);
        if (!converges) return;
        expect(downtimeMs).toBeLessThanOrEqual(downtimeMsMax);
        expect(durationMs).toBeGreaterThanOrEqual(Math.floor((memory / sent) * 1_000));
      }),
    );
  });
});
