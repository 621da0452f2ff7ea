import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { saveFormats } from './format.js';
import { encodeHead, headerBytes, type SaveHead } from './head.js';
import { markComplete, readImage, writeHead } from './image-file.js';

const folder = mkdtempSync(join(tmpdir(), 'vf-image-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'image');
const head: SaveHead = { xml: '<domain/>', wasRunning: true, format: 'raw' };

/** An image as it is on disk once its save has come to its end. */
async function written(of: SaveHead, stream = 'the stream'): Promise<Buffer> {
  const file = await open(path, 'w+');
  const offset = await writeHead(file, of);
  await file.write(stream, null);
  await markComplete(file);
  await file.close();
  expect(offset % 4_096).toBe(0);
  return readFileSync(path);
}

async function read(bytes: Buffer) {
  writeFileSync(path, bytes);
  const file = await open(path, 'r');
  try {
    return await readImage(file, path);
  } finally {
    await file.close();
  }
}

/** With one of the words behind the magic changed. */
function withWord(bytes: Buffer, index: number, value: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt32LE(value, 16 + 4 * index);
  return changed;
}

/** As a host of the other byte order would have written it. */
function swapped(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  changed.subarray(16, headerBytes).swap32();
  return changed;
}

describe('a save image', () => {
  it('A10: has libvirt’s header: magic, version, length, running, compression, and the definition with its NUL and room behind it', async () => {
    const bytes = await written({ xml: '<domain>é</domain>', wasRunning: true, format: 'xz' });
    expect(bytes.toString('latin1', 0, 16)).toBe('LibvirtQemudSave');
    const words = Array.from({ length: 19 }, (_, index) => bytes.readUInt32LE(16 + 4 * index));
    const [version, length = 0, running, compressed, ...unused] = words;
    expect([version, running, compressed]).toEqual([2, 1, 3]);
    expect(unused).toEqual(Array(15).fill(0));
    expect((headerBytes + length) % 4_096).toBe(0);
    expect(bytes.toString('utf8', headerBytes, headerBytes + 20)).toBe('<domain>é</domain>\0');
    expect(length).toBeGreaterThanOrEqual(20 + 1_024);
    expect(bytes.toString('utf8', headerBytes + length)).toBe('the stream');
  });

  it('comes back as it was written, in either byte order', async () => {
    const any = fc.record({
      xml: fc.string({ minLength: 1, maxLength: 6_000, unit: 'grapheme' }).filter((text) => !text.includes('\0')),
      wasRunning: fc.boolean(),
      format: fc.constantFrom(...saveFormats),
    });
    await fc.assert(
      fc.asyncProperty(any, fc.boolean(), async (of, swap) => {
        const bytes = await written(of);
        const { streamOffset, ...found } = await read(swap ? swapped(bytes) : bytes);
        expect(found).toMatchObject(of);
        expect(bytes.toString('utf8', streamOffset)).toBe('the stream');
      }),
      { numRuns: 60 },
    );
  });

  it('reads only the definition where libvirt keeps a cookie behind it', async () => {
    const bytes = await written(head);
    bytes.write('<cookie/>', headerBytes + 512);
    expect((await read(withWord(bytes, 4, 512))).xml).toBe('<domain/>');
  });

  it('is marked as incomplete until its last byte is on disk', async () => {
    const begun = encodeHead(head);
    expect(begun.toString('latin1', 0, 16)).toBe('LibvirtQemudPart');
    await expect(read(begun)).rejects.toMatchObject({ code: 'save-image-incomplete' });
  });

  it('S46: a definition over 1 MiB is not written', () => {
    expect(() => encodeHead({ ...head, xml: 'x'.repeat(1_048_577) })).toThrow(expect.objectContaining({ code: 'xml-too-large' }));
  });

  it.each<[string, (good: Buffer) => Buffer, RegExp]>([
    ['an empty file', () => Buffer.alloc(0), /shorter than the header/],
    ['half a header', (good) => good.subarray(0, 50), /shorter than the header/],
    ['zeros', (good) => Buffer.alloc(good.length), /image magic is incorrect/],
    ['another file', () => readFileSync(process.execPath).subarray(0, 8_192), /image magic is incorrect/],
    ['a later version', (good) => withWord(good, 0, 3), /not supported/],
    ['version 0', (good) => withWord(good, 0, 0), /not supported/],
    ['no definition', (good) => withWord(good, 1, 0), /invalid XML length: 0/],
    ['a definition of 2 GiB', (good) => withWord(good, 1, 2 ** 31), /invalid XML length: 2147483648/],
    ['a definition of -1', (good) => withWord(good, 1, 2 ** 32 - 1), /invalid XML length/],
    ['an unknown compression', (good) => withWord(good, 3, 99), /compression 99 is not known/],
    ['a cookie behind its end', (good) => withWord(good, 4, 2 ** 30), /cookie/],
    ['an end within its definition', (good) => good.subarray(0, headerBytes + 4), /ends within its definition/],
    ['an empty definition', (good) => Buffer.concat([good.subarray(0, headerBytes), Buffer.alloc(good.length)]), /empty/],
  ])('%s is refused by name', async (_what, change, why) => {
    await expect(read(change(await written(head)))).rejects.toMatchObject({ code: 'save-image-invalid', message: why });
  });

  it('whatever bytes a file begins with, it is read or refused, and nothing else', async () => {
    const good = await written(head);
    const change = fc.record({ at: fc.nat(good.length - 1), to: fc.integer({ min: 0, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), fc.nat(good.length), async (changes, length) => {
        const bytes = Buffer.from(good.subarray(0, length));
        for (const { at, to } of changes) if (at < bytes.length) bytes[at] = to;
        await read(bytes).catch((error: unknown) => {
          expect(VmferryError.from(error).code).toMatch(/^save-image-(invalid|incomplete)$/);
        });
      }),
      { numRuns: 200 },
    );
  });
});
