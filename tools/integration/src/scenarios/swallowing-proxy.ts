import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SwallowingProxy {
  readonly url: string;
  /** How many answers it has kept to itself. */
  readonly swallowed: () => number;
  close(): Promise<void>;
}

/** Passes every request on to `target` and every answer back, but for the answers of `step`: those are taken, and their connection is broken. */
export async function swallowAnswersOf(step: string, target: string): Promise<SwallowingProxy> {
  let swallowed = 0;
  const server = http.createServer((request, response) => {
    const { method, url = '/', headers } = request;
    const onward = http.request(new URL(url, target), { method, headers, agent: false }, (answer) => {
      if (url.endsWith(`/${step}`)) {
        // The whole answer first: the step has been done then.
        answer.resume().once('end', () => {
          swallowed += 1;
          response.destroy();
        });
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // A TCP server that listens has one.
  return {
    url: `http://127.0.0.1:${port}`,
    swallowed: () => swallowed,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
