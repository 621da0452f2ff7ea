import { expect, it } from 'vitest';
import { Standstill } from './standstill.js';

it('tells of a transfer in which nothing moves, each two seconds once, with the whole time', () => {
  const still = new Standstill(0);
  const told = [];
  for (let nowMs = 0; nowMs <= 7_000; nowMs += 50) {
    const ms = still.note(4_096, nowMs);
    if (ms !== null) told.push(ms);
  }
  expect(told).toEqual([2_000, 4_000, 6_000]);
});

it('a byte is enough to be no standstill, and the time begins anew', () => {
  const still = new Standstill(0);
  expect(still.note(1, 1_900)).toBeNull();
  expect(still.note(2, 3_800)).toBeNull();
  expect(still.note(2, 5_700)).toBeNull();
  expect(still.note(2, 5_800)).toBe(2_000);
});
