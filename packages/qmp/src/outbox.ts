import type { Socket } from 'node:net';
import { VmferryError } from '@vmferry/errors';
import { listenerPid, sendWithFd } from '@vmferry/posix';

/**
 * Sends one command after the other, each only when the one before is wholly in the kernel. So `writableLength` is 0 whenever a
 * descriptor is sent, which goes around Node's own queue and would otherwise overtake what waits there (toolchain, Descriptors).
 */
export class Outbox {
  readonly #socket: Socket;
  #last: Promise<void> = Promise.resolve();

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** `stillWanted` is asked just before sending: a command whose deadline has passed while it waited is not sent at all. */
  send(bytes: Buffer, stillWanted: () => boolean, fd?: number): Promise<void> {
    const sent = this.#last.then(() => {
      if (!stillWanted()) return undefined;
      if (fd === undefined) return this.#write(bytes);
      return sendWithFd(this.#descriptor(), bytes, fd);
    });
    this.#last = sent.catch(() => undefined);
    return sent;
  }

  listenerPid(): number {
    return listenerPid(this.#descriptor());
  }

  #write(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  #descriptor(): number {
    // Node has no public way to the descriptor of a socket; `_handle.fd` has been the same on 20, 22 and 24.
    const handle = (this.#socket as unknown as { readonly _handle: { readonly fd: number } | null })._handle;
    if (handle === null || handle.fd < 0) throw new VmferryError('guest-gone', 'The monitor has closed.');
    return handle.fd;
  }
}
