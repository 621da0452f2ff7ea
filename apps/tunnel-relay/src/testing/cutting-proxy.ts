import { once } from 'node:events';
import net from 'node:net';
import { onTestFinished } from 'vitest';

/** Where a connection is cut: in what goes to the server or in what comes back, after so many bytes; `head` is how many its HTTP head has. */
export interface Cut {
  readonly direction: 'request' | 'answer';
  readonly at: (head: number) => number;
}

const endOfHead = '\r\n\r\n';

/**
 * Stands before a relay and passes every byte on, both ways, until its connection is cut: both sides are reset then. Returns
 * the server's URL with its own port; `cut` is that of the next connection, null for none.
 */
export async function cuttingProxy(serverUrl: string): Promise<{ through(url: string, cut: Cut | null): string }> {
  let next: Cut | null = null;
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const cut = next;
    const upstream = net.connect({ port: Number(new URL(serverUrl).port), host: '127.0.0.1', allowHalfOpen: true });
    const reset = () => {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    };
    for (const socket of [client, upstream]) socket.on('error', reset);
    pass(client, upstream, cut?.direction === 'request' ? cut : null, reset);
    pass(upstream, client, cut?.direction === 'answer' ? cut : null, reset);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as net.AddressInfo;
  return {
    through(url, cut) {
      next = cut;
      const own = new URL(url);
      own.port = String(port);
      return own.href;
    },
  };
}

function pass(from: net.Socket, to: net.Socket, cut: Cut | null, reset: () => void): void {
  let waiting = Buffer.alloc(0);
  let passed = 0;
  /** Known once the head has come; nothing is passed on before. */
  let limit: number | undefined;
  from.on('data', (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk]);
    const end = waiting.indexOf(endOfHead);
    if (limit === undefined && end === -1) return;
    limit ??= cut === null ? Number.POSITIVE_INFINITY : cut.at(end + endOfHead.length);
    const going = waiting.subarray(0, Math.min(waiting.length, limit - passed));
    waiting = Buffer.alloc(0);
    passed += going.length;
    const isCut = passed === limit;
    if (isCut) from.pause();
    const room = going.length === 0 || to.write(going, () => isCut && reset());
    if (going.length === 0 && isCut) reset();
    if (!room && !isCut) {
      from.pause();
      to.once('drain', () => from.resume());
    }
  });
  from.on('end', () => to.end());
}
