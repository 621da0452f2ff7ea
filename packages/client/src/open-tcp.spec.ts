import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { ManualClock, systemClock } from '@vmferry/seams';
import { expect, it, onTestFinished } from 'vitest';
import { openTcp } from './open-tcp.js';

async function listening(): Promise<{ port: number; connection: Promise<Socket> }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const connection = once(server, 'connection').then(([socket]) => socket as Socket);
  return { port: (server.address() as AddressInfo).port, connection }; // A TCP server that listens has one.
}

const open = (host: string, port: number) => openTcp({ to: { host, port }, deadlineMs: 5_000, clock: systemClock });

it('connects, and reads nothing of what the other side says', async () => {
  const { port, connection } = await listening();
  const socket = await open('127.0.0.1', port);
  const other = await connection;
  await new Promise((resolve) => other.write('hello', resolve));
  await new Promise((resolve) => setImmediate(resolve));
  expect(socket.bytesRead).toBe(0);
  socket.destroy();
  other.destroy();
});

it('a port where nobody listens is stream-failed, by name', async () => {
  const { port } = await listening();
  await expect(open('127.0.0.2', port)).rejects.toMatchObject({
    code: 'stream-failed',
    message: expect.stringMatching(/at 127\.0\.0\.2, port \d+: .*ECONNREFUSED/),
  });
});

it('threat 6: an address that no other host has is not connected to, by a name neither', async () => {
  await expect(open('169.254.169.254', 80)).rejects.toMatchObject({ code: 'invalid-argument' });
  const lookup = ((_name: string, _options: unknown, done: (error: null, all: unknown) => void) =>
    done(null, [{ address: '169.254.169.254', family: 4 }])) as never; // The overloads of Node's own are of no use here.
  const asked = openTcp({ to: { host: 'rebound.example', port: 80 }, deadlineMs: 5_000, clock: systemClock, lookup });
  await expect(asked).rejects.toMatchObject({ code: 'invalid-argument' });
});

it('gives up after its deadline', async () => {
  const clock = new ManualClock();
  const lookup = (() => undefined) as never; // A name server that does not answer.
  const asked = openTcp({ to: { host: 'silent.example', port: 1 }, deadlineMs: 5_000, clock, lookup });
  const refused = expect(asked).rejects.toMatchObject({
    code: 'stream-failed',
    message: expect.stringMatching(/within 5000 ms/),
  });
  clock.advance(5_000);
  await refused;
});
