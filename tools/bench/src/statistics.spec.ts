import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fitLine, percentile, summarise } from './statistics.js';

it('takes the middle one, and the mean of two', () => {
  expect(summarise([9, 1, 5])).toEqual({ median: 5, min: 1, max: 9 });
  expect(summarise([4, 1, 3, 100])).toEqual({ median: 3.5, min: 1, max: 100 });
  expect(summarise([7])).toEqual({ median: 7, min: 7, max: 7 });
});

it('has as many values above the median as below it, in any order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer(), { minLength: 1, maxLength: 50 }), (values) => {
      const { median, min, max } = summarise(values);
      const below = values.filter((value) => value < median).length;
      const above = values.filter((value) => value > median).length;
      expect(Math.max(below, above)).toBeLessThanOrEqual(values.length / 2);
      expect([min <= median, median <= max]).toEqual([true, true]);
      expect(summarise([...values].reverse())).toEqual({ median, min, max });
    }),
  );
});

it('refuses to make a figure of nothing', () => {
  expect(() => summarise([])).toThrow(RangeError);
});

it('takes the smallest value that so many do not exceed', () => {
  expect([percentile([3, 1, 2], 50), percentile([3, 1, 2], 95), percentile([7], 95)]).toEqual([2, 3, 7]);
  expect(() => percentile([], 95)).toThrow(RangeError);
});

it('fits a line, and says how much of the points it explains', () => {
  const { slope, intercept, rSquared } = fitLine([
    [0, 1],
    [1, 3],
    [4, 9],
  ]);
  for (const [value, expected] of [
    [slope, 2],
    [intercept, 1],
    [rSquared, 1],
  ] as const)
    expect(value).toBeCloseTo(expected, 10);
  const flat = fitLine([
    [1, 5],
    [2, 5],
  ]);
  expect(flat).toEqual({ slope: 0, intercept: 5, rSquared: 1 });
});

it('fits no line to one place', () => {
  const points = [
    [1, 5],
    [1, 6],
  ] as const;
  expect(() => fitLine(points)).toThrow(RangeError);
});
