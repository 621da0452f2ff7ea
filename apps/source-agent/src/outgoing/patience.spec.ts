import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limitSecondsOf, Patience } from './patience.js';

const gib = 1_048_576;

describe('Patience', () => {
  it.each([
    [{}, null],
    [{ stallSeconds: 5, action: 'pause' }, null],
    [{ totalSeconds: 60 }, 60],
    [{ secondsPerGib: 10 }, 40],
    [{ totalSeconds: 60, secondsPerGib: 10 }, 100],
  ] as const)('the time of a guest of 4 GiB under %j is %s s', (timeouts, seconds) => {
    expect(limitSecondsOf(timeouts, 4 * gib)).toBe(seconds);
  });

  it('counts from the moment that it is given, and tells the total once when it cancels', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.double({ min: 0, max: 1e9, noNaN: true }), (totalSeconds, startMs) => {
        const patience = new Patience({ totalSeconds }, gib, startMs);
        expect(patience.overdue(startMs + totalSeconds * 1_000 - 1)).toBeNull();
        const endMs = startMs + totalSeconds * 1_000 + 1;
        expect(patience.overdue(endMs)).toEqual({ action: 'cancel', what: 'total', seconds: totalSeconds });
        expect(patience.overdue(endMs + 1e6)).toBeNull();
      }),
    );
  });

  it('a transfer stalls when no bytes are sent, or when the passes leave no less', () => {
    const patience = new Patience({ stallSeconds: 10 }, gib, 0);
    patience.progressed(100, null, 5_000);
    expect(patience.overdue(14_999)).toBeNull();
    patience.progressed(200, true, 14_000);
    patience.progressed(200, true, 20_000);
    expect(patience.overdue(23_999)).toBeNull();
    expect(patience.overdue(24_000)).toEqual({ action: 'cancel', what: 'stall', seconds: 10 });

    const dirtying = new Patience({ stallSeconds: 10 }, gib, 0);
    for (let atMs = 0; atMs < 10_000; atMs += 500) {
      dirtying.progressed(atMs + 1, atMs <= 2_000, atMs);
      expect(dirtying.overdue(atMs)).toBeNull();
    }
    expect(dirtying.overdue(12_000)).toMatchObject({ what: 'stall' });
  });

  it('whatever comes, a transfer that makes progress in time is not stalled', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9_999 })), (steps) => {
        const patience = new Patience({ stallSeconds: 10 }, gib, 0);
        let atMs = 0;
        steps.forEach((step, index) => {
          atMs += step;
          expect(patience.overdue(atMs)).toBeNull();
          patience.progressed(index + 1, true, atMs);
        });
      }),
    );
  });

  it('pauses until the guest stands still; then the total has nothing more to say, and a stall cancels', () => {
    const patience = new Patience({ totalSeconds: 5, stallSeconds: 10, action: 'pause' }, gib, 0);
    const pause = { action: 'pause', what: 'total', seconds: 5 };
    expect(patience.overdue(5_000)).toEqual(pause);
    // The stop did not succeed: it is told again.
    expect(patience.overdue(5_050)).toEqual(pause);
    patience.paused(6_000);
    patience.progressed(10, false, 8_000);
    expect(patience.overdue(17_999)).toBeNull();
    expect(patience.overdue(18_000)).toEqual({ action: 'cancel', what: 'stall', seconds: 10 });
  });

  it('other times can be set while it runs, also ones that are over already', () => {
    const patience = new Patience({}, 2 * gib, 0);
    expect(patience.overdue(1e9)).toBeNull();
    patience.set({ secondsPerGib: 30, action: 'pause' });
    expect(patience.overdue(59_999)).toBeNull();
    patience.paused(59_999);
    patience.set({ secondsPerGib: 30 });
    expect(patience.overdue(60_000)).toMatchObject({ action: 'cancel', what: 'total', seconds: 60 });
  });
});
