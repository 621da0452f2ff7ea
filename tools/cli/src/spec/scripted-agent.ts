import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { MigrationResource } from '@vmferry/api';
import { onTestFinished } from 'vitest';

export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers: http.IncomingHttpHeaders;
}

export type Answer = (heard: Heard, res: http.ServerResponse) => void;

export interface ScriptedAgent {
  readonly url: string;
  readonly port: number;
  readonly heard: readonly Heard[];
  /** The connections break off and nobody listens any more, as after kill -9. */
  kill(): Promise<void>;
}

/** A real HTTP server that answers as a spec tells it and keeps what it heard. What a real agent does is the integration suites' to show. */
export async function scriptedAgent(answer: Answer, port = 0): Promise<ScriptedAgent> {
  const heard: Heard[] = [];
  const server = http.createServer((req, res) => {
    void text(req).then((body) => {
      const parsed = body === '' ? null : (JSON.parse(body) as unknown);
      const request = { method: req.method ?? '', path: req.url ?? '', body: parsed, headers: req.headers };
      heard.push(request);
      answer(request, res);
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const kill = async () => {
    if (!server.listening) return;
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  onTestFinished(kill);
  const address = server.address() as AddressInfo; // a TCP server that listens
  return { url: `http://127.0.0.1:${address.port}`, port: address.port, heard, kill };
}

export const json = (res: http.ServerResponse, status: number, body: unknown): void => {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

export const problem = (res: http.ServerResponse, status: number, code: string, facts: object = {}): void => {
  const document = {
    type: `/problems/${code}`,
    title: code,
    status,
    code,
    detail: `because of ${code}`,
    retryable: false,
    ...facts,
  };
  res.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(document));
};

/** Begins a stream of events; the answer stays open. */
export const sse = (res: http.ServerResponse): ((event: string, value: MigrationResource) => void) => {
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  res.write('retry: 3000\n\n');
  return (event, value) => {
    res.write(`event: ${event}\nid: ${value.generation}\ndata: ${JSON.stringify(value)}\n\n`);
    if (event === 'done') res.end();
  };
};
