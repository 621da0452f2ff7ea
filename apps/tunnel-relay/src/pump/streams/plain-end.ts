import { once } from 'node:events';
import { Socket } from 'node:net';
import { duplicateFd } from '@vmferry/posix';
import { type EndListener, type NodeEnd, type OpenEnd, pieceRoomBytes } from './node-end.js';

/** Fewer and larger calls: four times what Node reads by itself. */
const pieceBytesMax = 256 * 1024;
/** What a unix socket takes at once; with more, each call would be cut in two. */
const gatheredBytesMax = 128 * 1024;

/** A connected socket as it is. `fd` stays the caller's: Node gets a descriptor of its own. */
export const plainEnd =
  (fd: number): OpenEnd =>
  (listener) => {
    const buffer = Buffer.allocUnsafeSlow(pieceRoomBytes + pieceBytesMax).subarray(pieceRoomBytes);
    const callback = (bytes: number) => {
      listener.piece(buffer.subarray(0, bytes), () => socket.resume());
      // The buffer is the only one: Node is to read no more until the piece is taken.
      return false;
    };
    const reading = { fd: duplicateFd(fd), allowHalfOpen: true, onread: { buffer, callback } };
    const socket = new Socket(reading);
    socket.once('end', () => listener.ended());
    socket.on('error', (error) => listener.broke(error));
    return endOf(socket, listener);
  };

/** What is written in one turn of the event loop goes out by one call, for TLS gives no more than 16 KiB at a time. */
function endOf(socket: Socket, listener: EndListener): NodeEnd {
  let isGathering = false;
  const release = () => {
    if (!isGathering) return;
    isGathering = false;
    socket.uncork();
    if (socket.writableLength > 0) listener.stalled();
  };
  return {
    write(bytes, written) {
      if (!isGathering) {
        isGathering = true;
        socket.cork();
        setImmediate(release);
      }
      socket.write(bytes, (error) => error ?? written());
      if (socket.writableLength >= gatheredBytesMax) release();
    },
    end(done) {
      release();
      socket.end(done);
    },
    async close() {
      socket.destroy();
      if (!socket.closed) await once(socket, 'close');
    },
  };
}
