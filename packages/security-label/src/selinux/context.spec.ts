import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { categoryRange, formatContext, isPairOf, levelOf, pairAt, pairCount, parseContext } from './context.js';

describe('a context', () => {
  it.each(['system_u:system_r:svirt_t:s0:c1,c2', 'u:r:t', 'u:r:t:s0-s0:c0.c1023'])('%s is read and written', (text) =>
    expect(formatContext(parseContext(text))).toBe(text),
  );

  it.each(['', 'u:r', 'u:r:t:', 'u:r:t:s0 c1', 'u:r:t\0:s0', "u:r:t:s0'", `u:r:${'t'.repeat(255)}`])('%j is none', (text) =>
    expect(() => parseContext(text)).toThrow(expect.objectContaining({ code: 'label-failed' })),
  );
});

describe('the range of categories', () => {
  it.each([
    [undefined, 's0', 0, 1023],
    ['s0', 's0', 0, 1023],
    ['s0-s0', 's0', 0, 1023],
    ['s0-s0:c0.c1023', 's0', 0, 1023],
    ['s0:c0.c5', 's0', 0, 5],
    ['s0-s0:c0.c10', 's0', 0, 10],
    ['s2-s3:c100.c200', 's2', 100, 200],
    ['s0:c3-s1:c20.c30', 's0', 20, 30],
  ])('of %s is %s, %i to %i', (level, sensitivity, first, last) =>
    expect(categoryRange(level)).toEqual({ sensitivity, first, last }),
  );

  it.each(['s0:c5', 's0-s0:c5', 's0:c1,c7', 's0:c9.c3', 's0:c7.c7', 'x0', 's0:', 's0-s0:c1.c5,c9'])(
    '%s has none to choose from',
    (level) => expect(() => categoryRange(level)).toThrow(expect.objectContaining({ code: 'label-failed' })),
  );
});

describe('pairs', () => {
  it('are all there are, each once, the first below the second', () => {
    const range = { sensitivity: 's0', first: 5, last: 24 };
    const pairs = Array.from({ length: pairCount(range) }, (_, index) => pairAt(range, index));
    expect(new Set(pairs.map((pair) => levelOf(range, pair))).size).toBe((20 * 19) / 2);
    for (const { first, second } of pairs) expect(5 <= first && first < second && second <= 24).toBe(true);
  });

  it('of any range are within it', () => {
    const category = fc.integer({ min: 0, max: 9999 });
    fc.assert(
      fc.property(category, category, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (a, b, at) => {
        fc.pre(a < b);
        const range = { sensitivity: 's0', first: a, last: b };
        expect(isPairOf(range, levelOf(range, pairAt(range, Math.floor(at * pairCount(range)))))).toBe(true);
      }),
    );
  });

  it.each(['s0:c2,c1', 's0:c1,c1', 's1:c1,c2', 's0:c1,c11', 's0:c1.c2', 's0', undefined])(
    '%s is none of s0, c0 to c10',
    (level) => expect(isPairOf({ sensitivity: 's0', first: 0, last: 10 }, level)).toBe(false),
  );
});
