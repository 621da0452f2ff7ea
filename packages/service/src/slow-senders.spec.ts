import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { z } from '@vmferry/api';
import { systemClock } from '@vmferry/seams';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Publisher } from './publisher.js';
import { defineRoute } from './route.js';
import { serverLimits } from './service.js';
import { boundSlowSenders } from './slow-senders.js';
import { specRoutes, specService } from './spec-service.js';

const slowHead = 'GET /healthz HTTP/1.1\r\nhost: 127.';
const slowBody =
  'POST /v1/things HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"name"';

/** A connection that has sent `text`, and whatever is heard on it. */
async function connection(port: number, text: string): Promise<{ socket: net.Socket; heard: () => string }> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  let heard = '';
  socket
    .on('error', () => undefined)
    .on('data', (chunk) => {
      heard += chunk.toString();
    });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  await new Promise((sent) => socket.write(text, sent));
  return { socket, heard: () => heard };
}

it('threat 12: 1,500 connections that send heads and bodies slowly keep nobody from an answer, and hurt nothing that owes no request', async () => {
  const publisher = new Publisher({ clock: systemClock, value: { n: 0 }, generation: 1 });
  const counter = z.object({ n: z.int() });
  const events = defineRoute({
    method: 'get',
    path: '/v1/live/events',
    summary: 'The counter as it changes.',
    permission: 'read',
    reply: { status: 200, schema: counter, contentType: 'text/event-stream' },
    problems: [],
    handler: () => ({ sse: publisher }),
  });
  let finishStep: (answer: { done: boolean }) => void = () => undefined;
  const step = new Promise<{ done: boolean }>((resolve) => {
    finishStep = resolve;
  });
  const service = specService({ routes: [...specRoutes(() => step), events] });
  onTestFinished(() => service.drain());
  const url = (await service.listen({ host: '127.0.0.1', port: 0 })).url;
  const port = Number(new URL(url).port);

  const stream = await connection(port, 'GET /v1/live/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
  const running = await connection(
    port,
    'POST /v1/step HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\nprefer: wait=60\r\n\r\n',
  );
  await once(stream.socket, 'data');
  const slow: net.Socket[] = [];
  for (let n = 0; n < 1_500; n += 1) slow.push((await connection(port, n % 2 === 0 ? slowHead : slowBody)).socket);

  const began = performance.now();
  const answer = await fetch(`${url}/healthz`, { headers: { connection: 'close' } });
  expect([answer.status, performance.now() - began < 1_000]).toEqual([200, true]);
  const open = await new Promise<number>((resolve, reject) =>
    service.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
  expect(open).toBeLessThanOrEqual(serverLimits.slowSendersMax + 2);
  publisher.publish('phase', { n: 1 }, 2);
  finishStep({ done: true });
  await vi.waitFor(() => expect(running.heard()).toMatch(/^HTTP\/1.1 200 [\s\S]*{"done":true}/));
  await vi.waitFor(() => expect(stream.heard()).toContain('{"n":1}'));
  expect(slow.filter((socket) => !socket.destroyed).length).toBeGreaterThan(0);
}, 60_000);

it('an upgraded connection owes nothing, and one that was answered owes the next request', async () => {
  const server = http.createServer((_request, response) => response.end());
  boundSlowSenders(server, 2, 'connection');
  server.listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // a TCP server that listens
  const upgrade = once(server, 'upgrade') as Promise<[http.IncomingMessage, Duplex]>;
  const upgraded = await connection(port, 'GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: spec-1\r\n\r\n');
  const [, atServer] = await upgrade;
  onTestFinished(() => void atServer.destroy());
  const answered = await connection(port, 'GET / HTTP/1.1\r\nhost: h\r\n\r\n');
  await once(answered.socket, 'data');
  const closed = once(answered.socket, 'close');
  const late = await connection(port, slowHead);
  const later = await connection(port, slowHead);
  await closed;
  atServer.write('still here');
  await once(upgraded.socket, 'data');
  expect([upgraded.heard(), late.socket.destroyed, later.socket.destroyed]).toEqual(['still here', false, false]);
});
