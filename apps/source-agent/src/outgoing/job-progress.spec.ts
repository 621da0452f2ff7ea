import { expect, it } from 'vitest';
import { jobProgressOf } from './job-progress.js';

const progressOf = (dirtyRateBytesPerSec: number, throughputBytesPerSec: number) => ({
  memory: {
    totalBytes: 1_000,
    processedBytes: 600,
    transferredBytes: 700,
    remainingBytes: 400,
    dirtyRateBytesPerSec,
    iteration: 1,
    zeroPages: 0,
  },
  throughputBytesPerSec,
  downtime: { limitMs: 10, expectedMs: null, actualMs: null, announcedMs: null },
  converging: null,
  hint: null,
});
const amount = { totalBytes: 1_000, processedBytes: 600, remainingBytes: 400 };

it('S9: the progress of a migration is that of its job, and its end is told by what is gained on the guest', () => {
  expect(jobProgressOf(progressOf(100, 300))).toEqual({
    type: 'bounded',
    timeRemainingMs: 2_000,
    data: amount,
    memory: amount,
    file: { totalBytes: 0, processedBytes: 0, remainingBytes: 0 },
  });
});

it.each([
  [300, 300],
  [400, 300],
  [0, 0],
])('S9: a guest that dirties %i B/s at %i B/s has no end that could be told', (dirty, throughput) => {
  expect(jobProgressOf(progressOf(dirty, throughput))).toMatchObject({ type: 'unbounded', timeRemainingMs: null });
});
