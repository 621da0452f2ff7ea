import type { MigrationStatus } from '@vmferry/hypervisor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Convergence } from './convergence.js';

const totalBytes = 2 ** 30;

interface Look {
  readonly atMs: number;
  readonly status: MigrationStatus;
}

interface Ram {
  readonly iteration: number;
  readonly remainingBytes: number;
  readonly transferredBytes: number;
  readonly believedPerSec: number;
}

const lookOf = (atMs: number, { believedPerSec, ...ram }: Ram): Look => ({
  atMs,
  status: {
    status: 'active',
    ram: {
      ...{ totalBytes, duplicatePages: 0, normalPages: 0, pageBytes: 4_096, dirtyPagesPerSec: 3, ...ram },
      throughputMbitPerSec: (believedPerSec * 8) / 1_000_000,
    },
  },
});

/** One pass as QEMU goes through it: what the one before has left, the rate at which that is sent, and what QEMU takes the rate for. */
interface Pass {
  readonly leftBytes: number;
  readonly bytesPerSec: number;
  readonly belief: number;
  readonly looks: number;
}

const pass: fc.Arbitrary<Pass> = fc.record({
  leftBytes: fc.integer({ min: 1, max: totalBytes }),
  bytesPerSec: fc.integer({ min: 2 ** 20, max: 2 ** 32 }),
  belief: fc.double({ min: 0.1, max: 20, noNaN: true }),
  looks: fc.integer({ min: 1, max: 8 }),
});

/** The looks at a transfer of these passes: at the beginning of each, and some more while its bytes are sent. */
function looksAt(passes: readonly Pass[]): Look[] {
  let [atMs, transferredBytes] = [0, 0];
  return passes.flatMap(({ leftBytes, bytesPerSec, belief, looks }, index) => {
    const steps = Array.from({ length: looks }, (_, step) => step / looks);
    const taken = steps.map((part) =>
      lookOf(atMs + ((leftBytes * part) / bytesPerSec) * 1_000, {
        iteration: index + 1,
        remainingBytes: Math.round(leftBytes * (1 - part)),
        transferredBytes: Math.round(transferredBytes + leftBytes * part),
        believedPerSec: bytesPerSec * belief,
      }),
    );
    atMs += (leftBytes / bytesPerSec) * 1_000;
    transferredBytes += leftBytes;
    return taken;
  });
}

const transfer = fc.array(pass, { minLength: 1, maxLength: 12 }).map(looksAt);
const maxMs = fc.integer({ min: 1, max: 60_000 });

describe('Convergence', () => {
  it('progress never goes back, over passes, changes of the maximum and looks at any moment', () => {
    fc.assert(
      fc.property(maxMs, transfer, fc.array(maxMs), (max, looks, changes) => {
        const convergence = new Convergence(max);
        let [processed, transferred, iteration] = [0, 0, 0];
        looks.forEach(({ status, atMs }, index) => {
          const change = changes[index];
          if (change !== undefined) convergence.setMax(change);
          convergence.weigh(status, atMs);
          const { memory } = convergence.progressOf(status);
          expect(memory.processedBytes).toBeGreaterThanOrEqual(processed);
          expect(memory.transferredBytes).toBeGreaterThanOrEqual(transferred);
          expect(memory.processedBytes).toBeLessThanOrEqual(memory.totalBytes);
          expect(memory.processedBytes + memory.remainingBytes).toBeGreaterThanOrEqual(memory.totalBytes);
          expect(memory.iteration).toBeGreaterThanOrEqual(iteration);
          [processed, transferred, iteration] = [memory.processedBytes, memory.transferredBytes, memory.iteration];
        });
      }),
    );
  });

  it('the limit begins at 10 ms or the maximum, and stays between the two whatever the passes are', () => {
    fc.assert(
      fc.property(maxMs, transfer, (max, looks) => {
        const convergence = new Convergence(max);
        const first = Math.min(10, max);
        expect(convergence.limitMs).toBe(first);
        for (const { status, atMs } of looks) {
          const before = convergence.limitMs;
          const changed = convergence.weigh(status, atMs);
          expect(changed).toBe(convergence.limitMs !== before);
          expect(convergence.limitMs).toBeGreaterThanOrEqual(first);
          expect(convergence.limitMs).toBeLessThanOrEqual(max);
        }
      }),
    );
  });

  it('passes that leave a tenth less each are left alone', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 0.89, noNaN: true }), { maxLength: 12 }), (factors) => {
        const convergence = new Convergence(300);
        let leftBytes = totalBytes;
        const passes = factors.map((factor) => {
          leftBytes = Math.floor(leftBytes * factor);
          return { leftBytes, bytesPerSec: 2 ** 28, belief: 1, looks: 2 };
        });
        for (const { status, atMs } of looksAt([{ leftBytes: totalBytes, bytesPerSec: 2 ** 28, belief: 1, looks: 4 }, ...passes]))
          expect(convergence.weigh(status, atMs)).toBe(false);
        expect(convergence.converging).toBe(factors.length === 0 ? null : true);
      }),
    );
  });

  /** 256 MiB/s sent and believed; each pass leaves as much as the one before. */
  const stuck = (leftMib: number, passes: number, belief = 1) =>
    looksAt(
      Array.from({ length: passes }, (_, index) => ({
        leftBytes: index === 0 ? totalBytes : leftMib * 2 ** 20,
        bytesPerSec: 2 ** 28,
        belief,
        looks: 4,
      })),
    );
  const limitsOver = (convergence: Convergence, looks: readonly Look[]) => {
    const limits = [convergence.limitMs];
    for (const { status, atMs } of looks) if (convergence.weigh(status, atMs)) limits.push(convergence.limitMs);
    return limits;
  };

  it('the steps double, and those that the measured rate says are too short are skipped', () => {
    // 16 MiB at 256 MiB/s take 62 ms.
    expect(limitsOver(new Convergence(300), stuck(16, 4))).toEqual([10, 80, 160]);
    // 128 MiB take half a second, which is more than may be: the steps are taken one by one, and the guest is not stopped.
    expect(limitsOver(new Convergence(300), stuck(128, 9))).toEqual([10, 20, 40, 80, 160, 300]);
  });

  it('a rate that QEMU believes in and that was not seen does not stop the guest for longer than it was granted', () => {
    const convergence = new Convergence(300);
    limitsOver(convergence, stuck(16, 4));
    expect(convergence.limitMs).toBe(160);
    const burst = stuck(16, 5, 8).at(-1);
    expect(convergence.weigh(burst?.status ?? { status: 'active' }, burst?.atMs ?? 0)).toBe(true);
    expect(convergence.limitMs).toBeLessThanOrEqual(40);
  });

  it('the limit in bytes is never more than what was granted lets through at the measured rate', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.1, max: 20, noNaN: true }), fc.integer({ min: 1, max: 100 }), (belief, leftMib) => {
        const convergence = new Convergence(300);
        for (const { status, atMs } of stuck(leftMib, 12, belief)) {
          convergence.weigh(status, atMs);
          const { throughputBytesPerSec } = convergence.progressOf(status);
          if (convergence.limitMs <= 10 || throughputBytesPerSec === 0) continue;
          const believedPerSec = ((status.ram?.throughputMbitPerSec ?? 0) * 1_000_000) / 8;
          // QEMU hears of a limit only when it differs by more than a fifth.
          expect((convergence.limitMs * believedPerSec) / throughputBytesPerSec).toBeLessThanOrEqual(300 * 1.25 + belief);
        }
      }),
    );
  });

  it('tells what is left in time, and of a guest that cannot converge when the limit can be raised no more', () => {
    const convergence = new Convergence(20);
    const looks = stuck(16, 3);
    const told = looks.map(({ status, atMs }) => {
      convergence.weigh(status, atMs);
      return convergence.progressOf(status);
    });
    expect(told[0]).toMatchObject({ converging: null, hint: null, downtime: { expectedMs: null } });
    expect(told[4]).toMatchObject({ converging: true, hint: null, downtime: { expectedMs: 63, limitMs: 10 } });
    expect(told[8]).toMatchObject({
      converging: false,
      hint: expect.stringMatching(/63 ms.*downtimeMsMax/),
      downtime: { limitMs: 20 },
    });
    convergence.setMax(5);
    expect(convergence.limitMs).toBe(5);
  });

  it('the throughput is that of the last second while it runs, and that of the whole afterwards', () => {
    const convergence = new Convergence(300);
    const look = (atMs: number, transferredBytes: number) => {
      const { status } = lookOf(atMs, { iteration: 1, remainingBytes: 5, transferredBytes, believedPerSec: 7_000 });
      convergence.weigh(status, atMs);
      return convergence.progressOf(status).throughputBytesPerSec;
    };
    expect(look(0, 0)).toBe(7_000);
    expect(look(500, 50_000)).toBe(100_000);
    expect(look(1_500, 60_000)).toBe(10_000);
    const { status } = lookOf(1_600, { iteration: 1, remainingBytes: 0, transferredBytes: 60_000, believedPerSec: 40_000 });
    expect(convergence.progressOf({ ...status, status: 'completed' }).throughputBytesPerSec).toBe(40_000);
  });
});
