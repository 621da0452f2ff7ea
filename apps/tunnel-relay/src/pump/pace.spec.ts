import { describe, expect, it } from 'vitest';
import { Pace, Turns } from './pace.js';

const mib = 1_048_576;
const nsPerSec = 1_000_000_000;

/** Seconds from the first to the last of the times at which `count` reservations of `bytes` may go. */
function lasting(pace: Pace, count: number, bytes: number): number {
  const times = Array.from({ length: count }, () => pace.reserve(bytes));
  return Number((times.at(-1) ?? 0n) - (times[0] ?? 0n)) / nsPerSec;
}

function paceOf(bytesPerSec: number): Pace {
  const pace = new Pace();
  pace.setRate(bytesPerSec);
  return pace;
}

describe('a rate', () => {
  it('gives each reservation its exact time behind the one before', () => {
    for (const rate of [mib, 7 * mib + 1, 1_024 * mib])
      expect(lasting(paceOf(rate), 1_001, 4_096)).toBeCloseTo((1_000 * 4_096) / rate, 5);
  });

  it('makes up for at most 30 ms of idleness', async () => {
    const pace = paceOf(mib);
    pace.reserve(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = process.hrtime.bigint();
    const arrears = Number(before - pace.reserve(mib)) / 1e6;
    expect(arrears).toBeLessThanOrEqual(30);
    expect(Number(pace.reserve(1) - before) / 1e6).toBeGreaterThanOrEqual(970);
  });

  it('is one rate for all who hold its memory', () => {
    const pace = paceOf(mib);
    const same = new Pace(pace.memory);
    const first = pace.reserve(mib);
    expect(same.reserve(1) - first).toBe(1_000_000_000n);
  });

  it('takes 4 ms of its bytes at once, in bounds, and everything while there is none', () => {
    expect([1, mib, 10 * mib, 2 ** 40].map((rate) => paceOf(rate).turnBytes)).toEqual([4_096, 4_194, 41_943, 262_144]);
    expect(new Pace().turnBytes).toBe(Number.POSITIVE_INFINITY);
    expect(new Pace().reserve(mib)).toBe(0n);
  });
});

describe('the turns of a stream', () => {
  it('wait for the slower one of its own rate and the shared one', () => {
    for (const [own, shared] of [
      [mib, 100 * mib],
      [100 * mib, mib],
      [0, mib],
      [mib, 0],
    ] as const) {
      const turns = new Turns(paceOf(own), paceOf(shared));
      for (let moved = 0; moved < mib; moved += turns.bytesMax) turns.take(turns.bytesMax);
      expect(turns.waitMs).toBeGreaterThan(900);
      expect(turns.waitMs).toBeLessThanOrEqual(1_000);
    }
  });

  it('are as large for a stream that moves little at once, and what it does not use of one stays its own', () => {
    const shared = paceOf(64 * mib);
    const turns = new Turns(paceOf(mib), shared);
    const before = shared.reserve(1);
    turns.take(1);
    const after = shared.reserve(1);
    expect(Number(after - before) / nsPerSec).toBeCloseTo(shared.turnBytes / (64 * mib), 5);
    turns.take(shared.turnBytes - 1);
    expect(Number(shared.reserve(1) - after)).toBeLessThan(1_000);
  });

  it('do not wait without a rate', () => {
    const turns = new Turns(new Pace(), new Pace());
    turns.take(2 ** 40);
    expect([turns.waitMs, turns.bytesMax]).toEqual([0, Number.POSITIVE_INFINITY]);
  });
});
