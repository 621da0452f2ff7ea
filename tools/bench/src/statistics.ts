/** What the rounds of one way say together. The median is robust against the round that met a busy machine; the range shows it. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Of at least one value; with an even count the median is the mean of the two in the middle. */
export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)];
  const high = sorted[Math.ceil((sorted.length - 1) / 2)];
  const [min] = sorted;
  const max = sorted.at(-1);
  if (low === undefined || high === undefined || min === undefined || max === undefined)
    throw new RangeError('Nothing was measured.');
  return { median: (low + high) / 2, min, max };
}

/** The smallest of the values that `percent` of them do not exceed (nearest rank); of at least one value. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
  if (value === undefined) throw new RangeError('Nothing was measured.');
  return value;
}

export interface Line {
  readonly slope: number;
  readonly intercept: number;
  /** How much of the spread of the values the line explains: 1 is all of it. */
  readonly rSquared: number;
}

/** The line of least squares through points of which at least two lie apart. Values that are all the same are explained. */
export function fitLine(points: readonly (readonly [number, number])[]): Line {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const sumOf = (of: (x: number, y: number) => number) => points.reduce((sum, [x, y]) => sum + of(x - meanX, y - meanY), 0);
  const [xx, xy, yy] = [sumOf((x) => x * x), sumOf((x, y) => x * y), sumOf((_, y) => y * y)];
  if (!(xx > 0)) throw new RangeError('A line needs two points that lie apart.');
  const slope = xy / xx;
  return { slope, intercept: meanY - slope * meanX, rSquared: yy === 0 ? 1 : xy ** 2 / (xx * yy) };
}
