import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LineReader } from './line-reader.js';

test('lines come out as they went in, however the bytes are cut', () => {
  const line = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\n'));
  fc.assert(
    fc.property(
      fc.array(line),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      fc.boolean(),
      (lines, sizes, readAtOnce) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
        const reader = new LineReader();
        const read: string[] = [];
        const drain = () => {
          for (let next = reader.next(); next !== null; next = reader.next()) read.push(next);
        };
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          reader.push(bytes.subarray(at, at + size));
          at += size;
          if (readAtOnce) drain();
        }
        drain();
        expect(read).toEqual(lines.map((text) => Buffer.from(text).toString()));
      },
    ),
  );
});
