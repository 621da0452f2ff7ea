/**
 * Free bytes before each piece in its own buffer: whoever sends it on may put a header there, so that piece and header go out
 * by one write without being copied together.
 */
export const pieceRoomBytes = 4;

/** What one end tells of what comes from it. */
export interface EndListener {
  /** The piece is lent until `taken` is called. The next one comes only then. */
  piece(bytes: Uint8Array, taken: () => void): void;
  /** Nothing more comes from there, and all that came was told. */
  ended(): void;
  broke(error: NodeJS.ErrnoException): void;
  /** What was written to it waits: the kernel takes no more of it now. */
  stalled(): void;
}

/** One of the two ends of a stream, as Node's event loop moves its bytes. */
export interface NodeEnd {
  /** `written` is called when the kernel has all of it. */
  write(bytes: Uint8Array, written: () => void): void;
  /** Ends the direction towards this end, behind all that was written; `done` when the kernel has it. */
  end(done: () => void): void;
  /** Resolves when Node's own descriptor is closed. */
  close(): Promise<void>;
}

/** An end, once it has its listener. */
export type OpenEnd = (listener: EndListener) => NodeEnd;

/** `bytes` with room before them. */
export function pieceOf(bytes: Uint8Array): Uint8Array {
  const piece = Buffer.allocUnsafeSlow(pieceRoomBytes + bytes.length).subarray(pieceRoomBytes);
  piece.set(bytes);
  return piece;
}
