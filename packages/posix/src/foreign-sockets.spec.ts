import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { tcpSilentMsOf } from './index.js';

/** Another process that takes connections and says what has come. */
const taker = `
  require('node:net').createServer((socket) => socket.on('data', (data) => console.log('got ' + data)))
    .listen(0, '127.0.0.1', function () { console.log(this.address().port); });`;

it('tells how long the connection of another process has been silent, and that it speaks again', async () => {
  const child = spawn(process.execPath, ['-e', taker], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill());
  const pid = child.pid ?? 0;
  const port = Number(String((await once(child.stdout, 'data'))[0]));
  expect(tcpSilentMsOf(pid, port), 'it only listens').toBeNull();
  const socket = createConnection(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.write('a');
  await once(child.stdout, 'data');
  await expect.poll(() => tcpSilentMsOf(pid, port) ?? 0).toBeGreaterThanOrEqual(100);
  const before = tcpSilentMsOf(pid, port) ?? 0;
  socket.write('b');
  await once(child.stdout, 'data');
  await expect.poll(() => tcpSilentMsOf(pid, port)).toBeLessThan(before);
  expect(tcpSilentMsOf(process.pid, port), 'our own end is at another port').toBeNull();
});

it('a process that is gone has none', async () => {
  const child = spawn('true');
  await once(child, 'exit');
  expect(tcpSilentMsOf(child.pid ?? 0, 80)).toBeNull();
});
