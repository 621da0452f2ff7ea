import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface RecordingProxy {
  readonly url: string;
  /** What was asked of it, such as `POST /v1/sessions`, in order. */
  readonly requests: readonly string[];
  /** How many answers it has kept to itself. */
  readonly swallowed: () => number;
  close(): Promise<void>;
}

/**
 * Passes every request on to `target` and every answer back, but for the answers of the requests that `swallows` accepts: what they ask for is
 * done, and their connection is broken.
 */
export async function proxyTo(target: string, swallows: (request: string) => boolean = () => false): Promise<RecordingProxy> {
  const requests: string[] = [];
  let swallowed = 0;
  const server = http.createServer((request, response) => {
    const { method = '', url = '/', headers } = request;
    const asked = `${method} ${url}`;
    requests.push(asked);
    const onward = http.request(new URL(url, target), { method, headers, agent: false }, (answer) => {
      if (swallows(asked)) {
        // The whole answer first: what was asked for has been done then.
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
    requests,
    swallowed: () => swallowed,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
