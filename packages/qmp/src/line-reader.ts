import { VmferryError } from '@vmferry/errors';

/** The longest line of a monitor that is read, in bytes. QEMU's own longest, the whole schema, is 0.2 MB. */
export const lineBytesMax = 10 * 1024 * 1024;

const newline = 0x0a;
const pieceBytesMin = 4096;

/** Cuts the bytes of a monitor into lines, and keeps at most one unfinished line of `lineBytesMax` and one chunk. */
export class LineReader {
  #rest: Buffer = Buffer.alloc(0);
  /** Pieces of the unfinished line that are known to hold no newline; joined only when it ends, so that no byte is moved twice. */
  #pieces: Buffer[] = [];
  #piecesBytes = 0;

  push(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
  }

  /** The next whole line without its end, or null when none is there yet. Throws `monitor-failed` for a line over the limit. */
  next(): string | null {
    const end = this.#rest.indexOf(newline);
    const piece = end === -1 ? this.#rest : this.#rest.subarray(0, end);
    if (this.#piecesBytes + piece.length > lineBytesMax) {
      throw new VmferryError(
        'monitor-failed',
        `QEMU sent a line of over ${lineBytesMax} bytes on its monitor; it is not read on.`,
      );
    }
    this.#keep(piece);
    if (end === -1) {
      this.#rest = Buffer.alloc(0);
      return null;
    }
    this.#rest = this.#rest.subarray(end + 1);
    const line = Buffer.concat(this.#pieces, this.#piecesBytes).toString('utf8');
    this.#pieces = [];
    this.#piecesBytes = 0;
    return line;
  }

  /** Small pieces are joined, so that a peer that sends single bytes cannot make millions of buffers. */
  #keep(piece: Buffer): void {
    const last = this.#pieces.at(-1);
    if (last !== undefined && last.length < pieceBytesMin) this.#pieces[this.#pieces.length - 1] = Buffer.concat([last, piece]);
    else this.#pieces.push(piece);
    this.#piecesBytes += piece.length;
  }
}
