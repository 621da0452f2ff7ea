import type { Socket } from 'node:net';
import { VmferryError } from '@vmferry/errors';
import { duplicateFd } from './descriptors.js';

interface StreamHandle {
  readonly fd: number;
  readStop(): number;
}

/**
 * Stops Node from reading `socket` and returns its descriptor, which stays Node's. After an HTTP upgrade this must be the first
 * statement of the handler: Node reads on, and `pause()` does not stop it (65 KB of a migration were swallowed in 100 ms). Bytes
 * that Node has read before are the `head` of the upgrade: forward them first.
 *
 * N.B. While stopped, Node sees neither an end nor an error: use timers of your own. Once the descriptor was sent to QEMU
 * (getfd), O_NONBLOCK is cleared for both copies: never read, write or `end()` the socket again, only `destroy()` it, which
 * closes Node's copy alone.
 */
export function takeHandle(socket: Socket): number {
  const handle = handleOf(socket);
  handle.readStop();
  return handle.fd;
}

/** The descriptor of `socket`, which stays Node's and goes on being read. Throws `stream-failed` when it has none. */
export function descriptorOf(socket: Socket): number {
  return handleOf(socket).fd;
}

function handleOf(socket: Socket): StreamHandle {
  // Node has no public way to the descriptor of a socket; `_handle` has been the same on 20, 22 and 24.
  const handle = (socket as unknown as { readonly _handle: StreamHandle | null })._handle;
  if (handle === null || handle === undefined || handle.fd < 0) {
    throw new VmferryError('stream-failed', 'The socket is closed: it has no descriptor to take.');
  }
  return handle;
}

/**
 * Takes the connection out of Node's hands: the descriptor that is returned is the caller's own, close-on-exec, and the socket
 * object is destroyed (it emits `close`; the connection stays). Only when all that was written has gone to the kernel.
 */
export function detachSocket(socket: Socket): number {
  const fd = takeHandle(socket);
  if (socket.writableLength !== 0) {
    throw new VmferryError(
      'internal',
      `A socket with ${socket.writableLength} unsent bytes was to be detached; wait for the write's callback.`,
    );
  }
  const own = duplicateFd(fd);
  socket.destroy();
  return own;
}
