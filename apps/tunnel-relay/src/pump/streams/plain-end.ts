import { once } from 'node:events';
import { Socket } from 'node:net';
import { duplicateFd } from '@vmferry/posix';
import { type NodeEnd, type OpenEnd, pieceRoomBytes } from './node-end.js';

/** Fewer and larger calls: four times what Node reads by itself. */
const pieceBytesMax = 256 * 1024;

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
    return endOf(socket);
  };

function endOf(socket: Socket): NodeEnd {
  return {
    write: (bytes, written) => void socket.write(bytes, (error) => error ?? written()),
    end: (done) => void socket.end(done),
    async close() {
      socket.destroy();
      if (!socket.closed) await once(socket, 'close');
    },
  };
}
