import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  readonly url: string;
  /** Connections so far. */
  readonly count: () => number;
  /** Resets both ends of one connection, by its turn from 0. */
  cut(turn: number): void;
  /** Takes from now on what comes, passes nothing on and ends nothing: a link that is cut somewhere on its way. */
  fallSilent(): void;
  close(): void;
}

/** Passes the bytes of each connection on to `target` and back, until it is cut. */
export async function cuttingProxyTo(target: string): Promise<CuttingProxy> {
  const { hostname, port } = new URL(target);
  const pairs: (readonly [Socket, Socket])[] = [];
  let isSilent = false;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    for (const socket of [near, far]) socket.on('error', () => near.destroy()).on('error', () => far.destroy());
    near.pipe(far);
    far.pipe(near);
    pairs.push([near, far]);
    if (isSilent) swallow(near, far);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo; // A TCP server that listens has one.
  return {
    url: `http://127.0.0.1:${address.port}`,
    count: () => pairs.length,
    cut: (turn) => {
      for (const socket of pairs[turn] ?? []) socket.resetAndDestroy();
    },
    fallSilent: () => {
      isSilent = true;
      for (const [near, far] of pairs) swallow(near, far);
    },
    close: () => {
      server.close();
      for (const socket of pairs.flat()) socket.destroy();
    },
  };
}

function swallow(near: Socket, far: Socket): void {
  for (const socket of [near, far]) socket.unpipe().resume();
}
