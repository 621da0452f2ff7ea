import { pieceRoomBytes } from './node-end.js';

/*
 * What goes through TLS: frames of a length in four bytes, big-endian, and so many bytes. Length 0 ends the direction. TLS has an end of
 * its own, but Node takes a connection that was cut for one.
 */
const frameBytesMax = 1024 * 1024;

/** Writes the length into the room before a piece; the frame is that and the piece, in one. */
export function frameOf(piece: Uint8Array): Uint8Array {
  const frame = new Uint8Array(piece.buffer, piece.byteOffset - pieceRoomBytes, pieceRoomBytes + piece.length);
  new DataView(frame.buffer, frame.byteOffset).setUint32(0, piece.length);
  return frame;
}

export const endFrame: Uint8Array = new Uint8Array(pieceRoomBytes);

/** Takes frames apart again, however their bytes come. */
export class FrameReader {
  /** Of the frame that is being read; the length itself while `#headerLeft` is not 0. */
  #left = 0;
  #headerLeft = pieceRoomBytes;
  #isEnded = false;

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** The payloads in `bytes`, as windows on them. Throws for what no relay sends. */
  *payloads(bytes: Uint8Array): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#isEnded) throw protocolError('bytes came behind the end');
      if (this.#headerLeft > 0) {
        this.#readHeader(bytes[at] ?? 0);
        at += 1;
        continue;
      }
      const payload = bytes.subarray(at, at + this.#left);
      at += payload.length;
      this.#left -= payload.length;
      if (this.#left === 0) this.#headerLeft = pieceRoomBytes;
      yield payload;
    }
  }

  #readHeader(byte: number): void {
    this.#left = this.#left * 256 + byte;
    this.#headerLeft -= 1;
    if (this.#headerLeft > 0) return;
    if (this.#left > frameBytesMax) throw protocolError(`a frame of ${this.#left} bytes came`);
    if (this.#left === 0) this.#isEnded = true;
  }
}

function protocolError(what: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`The other relay does not keep to the stream's protocol: ${what}.`), {
    code: 'EPROTO',
    errno: 71,
  });
}
