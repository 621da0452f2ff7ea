import { createConnection, type Socket } from 'node:net';
import { VmferryError } from '@vmferry/errors';
import { checkUnixSocketPath, closeFd, detachSocket, isErrno, setSendBuffer, shutdownFd, tcpSilentMs } from '@vmferry/posix';
import type { Clock } from '@vmferry/seams';
import type { SocketMaker } from '@vmferry/security-label';

/**
 * The data channel of a migration: QEMU's end of it, as a connected socket that is handed over by descriptor. The agent keeps a
 * descriptor of its own, to be able to close the channel before it talks to the monitor (qemu-behaviour, rows F and H).
 */
export class Channel {
  readonly fd: number;
  #open = true;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Takes a connected socket out of Node's hands. All that was written to it must have gone to the kernel. */
  static of(socket: Socket): Channel {
    return new Channel(detachSocket(socket));
  }

  /** Ends the connection in both directions, for QEMU too, which shares it. */
  shut(): void {
    if (!this.#open) return;
    try {
      shutdownFd(this.fd, 'both');
    } catch (thrown) {
      // The peer has reset it: there is nothing to end any more.
      if (!isErrno(thrown, 'ENOTCONN')) throw thrown;
    }
  }

  /** For a TCP connection: how long the peer has sent nothing, in milliseconds. */
  silentMs(): number {
    return tcpSilentMs(this.fd);
  }

  /** Gives up the agent's own descriptor; QEMU's stays. */
  release(): void {
    if (!this.#open) return;
    this.#open = false;
    closeFd(this.fd);
  }
}

/** How far QEMU may write ahead of its relay: by several of its blocks of 128 KiB, or the two would wake each other for every one. */
const localBufferBytes = 512 * 1024;

/** Connects to the unix socket of a relay's stream, or to that of a QEMU. Throws `stream-failed`, after `deadlineMs` too. `makeSocket` labels it. */
export async function connectLocalStream(
  path: string,
  o: { readonly clock: Clock; readonly deadlineMs: number; readonly makeSocket?: SocketMaker },
): Promise<Channel> {
  const channel = Channel.of(await connectUnix(path, o));
  setSendBuffer(channel.fd, localBufferBytes);
  return channel;
}

/** The same connection, in Node's hands. */
export function connectUnix(
  path: string,
  {
    clock,
    deadlineMs,
    makeSocket = (make) => make(),
  }: { readonly clock: Clock; readonly deadlineMs: number; readonly makeSocket?: SocketMaker },
): Promise<Socket> {
  checkUnixSocketPath(path);
  return new Promise((resolve, reject) => {
    const socket = makeSocket(() => createConnection({ path }));
    const fail = (cause?: unknown) => {
      socket.destroy();
      reject(new VmferryError('stream-failed', `The stream socket ${path} cannot be connected.`, { cause }));
    };
    const timer = clock.after(deadlineMs, fail);
    socket.once('error', (cause) => {
      timer.cancel();
      fail(cause);
    });
    socket.once('connect', () => {
      timer.cancel();
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}
