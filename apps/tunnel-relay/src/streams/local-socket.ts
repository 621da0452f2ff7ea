import { once } from 'node:events';
import net from 'node:net';
import { checkUnixSocketPath, detachSocket } from '@vmferry/posix';

export interface LocalSocket {
  /** Stops listening and unlinks the socket; nothing when that is done already. */
  close(): void;
}

/**
 * A unix socket that takes exactly one connection and is then unlinked. Its folder is 0700, so whoever connects is of this user
 * (threats, row 11). `taken` gets a descriptor of its own, which Node has not read from;
 * `lost` is told when there is none, as when the process has too many.
 */
export async function listenOnce(
  path: string,
  taken: (fd: number) => void,
  lost: (error: unknown) => void,
): Promise<LocalSocket> {
  checkUnixSocketPath(path);
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true });
  let open = true;
  const close = () => {
    if (!open) return;
    open = false;
    server.close();
  };
  server.on('connection', (socket) => {
    if (!open) {
      // Accepted in the same turn as the first one.
      socket.destroy();
      return;
    }
    close();
    try {
      taken(detachSocket(socket));
    } catch (thrown) {
      socket.destroy();
      lost(thrown);
    }
  });
  server.listen({ path, backlog: 1 });
  await once(server, 'listening');
  return { close };
}
