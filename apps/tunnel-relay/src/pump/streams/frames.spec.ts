import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { endFrame, FrameReader, frameOf } from './frames.js';
import { pieceOf } from './node-end.js';

const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 12 });

describe('the frames of a stream in TLS', () => {
  it('give back what was sent, however it is cut on its way, and its end', () => {
    fc.assert(
      fc.property(pieces, fc.integer({ min: 1, max: 700 }), (sent, cutBytes) => {
        const wire = Buffer.concat([...sent.map((bytes) => frameOf(pieceOf(bytes))), endFrame]);
        const reader = new FrameReader();
        const got: Uint8Array[] = [];
        for (let at = 0; at < wire.length; at += cutBytes) {
          expect(reader.isEnded).toBe(false);
          got.push(...reader.payloads(wire.subarray(at, at + cutBytes)));
        }
        expect(reader.isEnded).toBe(true);
        expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true);
      }),
    );
  });

  it('a frame over its bound, and bytes behind the end, are refused', () => {
    expect(() => [...new FrameReader().payloads(Buffer.from([0, 16, 0, 1]))]).toThrow(/a frame of 1048577 bytes/);
    expect(() => [...new FrameReader().payloads(Buffer.from([0, 0, 0, 0, 0]))]).toThrow(/behind the end/);
  });
});
