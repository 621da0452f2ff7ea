import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { takeHandle, tcpSilentMs } from './index.js';

it('tells how long a TCP connection has been silent, and that it speaks again', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  const client = createConnection(address.port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  client.write('a');
  await once(accepted, 'data');
  const fd = takeHandle(accepted);
  await sleep(120);
  expect(tcpSilentMs(fd)).toBeGreaterThanOrEqual(100);
  client.write('b');
  await expect.poll(() => tcpSilentMs(fd)).toBeLessThan(100);
  client.destroy();
  accepted.destroy();
  server.close();
});
