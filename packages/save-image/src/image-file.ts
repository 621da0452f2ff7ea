import type { FileHandle } from 'node:fs/promises';
import { completeMagic, decodeHeader, decodeXml, encodeHead, headerBytes, type SaveHead, type SaveHeader } from './head.js';

/** An image that was opened: what is in it, and where QEMU's stream begins. */
export interface ReadImage extends SaveHead {
  readonly header: SaveHeader;
  readonly streamOffset: number;
}

/** Writes all that comes before the stream at the beginning of the file; the offset of `file` is where the stream goes then. */
export async function writeHead(file: FileHandle, head: SaveHead): Promise<number> {
  const bytes = encodeHead(head);
  await writeAll(file, bytes, null);
  return bytes.length;
}

/** The image is whole: all of it is on disk before its first bytes say so, and they are too before this resolves. */
export async function markComplete(file: FileHandle): Promise<void> {
  await file.datasync();
  await writeAll(file, completeMagic, 0);
  await file.sync();
}

/** Reads an image up to its stream; the offset of `file` is not moved. Throws as `decodeHeader` and `decodeXml` do. */
export async function readImage(file: FileHandle, path: string): Promise<ReadImage> {
  const header = decodeHeader(await readAt(file, 0, headerBytes), path);
  const xml = decodeXml(await readAt(file, headerBytes, header.dataBytes), header, path);
  const { wasRunning, format, dataBytes } = header;
  return { xml, wasRunning, format, header, streamOffset: headerBytes + dataBytes };
}

async function writeAll(file: FileHandle, bytes: Buffer, at: number | null): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const rest = bytes.subarray(written);
    written += (await file.write(rest, 0, rest.length, at === null ? null : at + written)).bytesWritten;
  }
}

/** Fewer bytes when the file ends before. */
async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let read = 0;
  while (read < length) {
    const { bytesRead } = await file.read(bytes, read, length - read, position + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return bytes.subarray(0, read);
}
