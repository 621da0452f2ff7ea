import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Convergence } from './convergence.js';

const status = (totalBytes: number, remainingBytes: number) => ({
  status: 'active' as const,
  ram: {
    totalBytes,
    remainingBytes,
    transferredBytes: 0,
    duplicatePages: 0,
    normalPages: 0,
    pageBytes: 4_096,
    dirtyPagesPerSec: 3,
    throughputMbitPerSec: 8,
    iteration: 1,
  },
});
const bytes = fc.nat(2 ** 31);

describe('Convergence', () => {
  it('the bytes that were processed never become fewer, and with those left are never less than all', () => {
    fc.assert(
      fc.property(fc.array(bytes), (left) => {
        const convergence = new Convergence(300);
        const total = 2 ** 31;
        let before = 0;
        for (const remaining of left) {
          const { processedBytes, remainingBytes } = convergence.progressOf(status(total, remaining)).memory;
          expect(processedBytes).toBeGreaterThanOrEqual(before);
          expect(processedBytes + remainingBytes).toBeGreaterThanOrEqual(total);
          before = processedBytes;
        }
      }),
    );
  });

  it('the limit begins at 10 ms or the maximum, only doubles, and never passes the maximum', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60_000 }), fc.array(bytes), (max, left) => {
        const convergence = new Convergence(max);
        expect(convergence.limitMs).toBe(Math.min(10, max));
        for (const remaining of left) {
          const before = convergence.limitMs;
          const raised = convergence.afterPass(remaining);
          expect(convergence.limitMs).toBe(raised ? Math.min(before * 2, max) : before);
          expect(raised).toBe(convergence.limitMs > before);
        }
      }),
    );
  });

  it('a guest that converges is left alone; one that does not is told of when the limit can be raised no more', () => {
    const convergence = new Convergence(20);
    expect([convergence.afterPass(1_000), convergence.afterPass(500), convergence.limitMs]).toEqual([false, false, 10]);
    expect([convergence.afterPass(500), convergence.limitMs]).toEqual([true, 20]);
    expect(convergence.progressOf(status(1_000, 500))).toMatchObject({
      converging: false,
      hint: expect.stringContaining('downtimeMsMax'),
    });
    convergence.setMax(5);
    expect(convergence.limitMs).toBe(5);
  });
});
