import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { prepareWorkers } from './index.js';
import { keepWorker, takeWorker } from './pump-workers.js';
import { fate } from './testing/connections.js';
import { everyPath, rigOn } from './testing/rig.js';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

async function flow(from: net.Socket, to: net.Socket): Promise<void> {
  const arrived = once(to, 'data');
  from.write('stream');
  await arrived;
}

describe.each(everyPath)('a pump by %s that does not end well', (path) => {
  const open = rigOn(path);

  it('resets both connections when it is aborted, and keeps the first reason', async () => {
    const { pump, local, remote } = await open('tcp', 'tcp');
    await flow(remote.peer, local.peer);
    const fates = Promise.all([fate(local.peer), fate(remote.peer)]);
    pump.abort('the migration was cancelled');
    pump.abort('too late');
    expect(await pump.ended).toEqual({ t: 'aborted', reason: 'the migration was cancelled' });
    expect(await fates).toEqual(['ECONNRESET', 'ECONNRESET']);
    pump.abort('after the end');
  });

  it('is aborted in the middle of a torrent, and while a receiver takes nothing', async () => {
    const { pump, local, remote } = await open('tcp', 'tcp');
    const block = Buffer.alloc(1_000_000);
    const pour = () => {
      while (!remote.peer.destroyed && remote.peer.write(block));
    };
    remote.peer.on('drain', pour);
    local.peer.resume();
    pour();
    while (pump.counters.bytesToLocal < 20_000_000) await new Promise(setImmediate);
    local.peer.pause();
    while (pump.counters.silentMs < 50) await new Promise(setImmediate);
    expect(pump.counters.stalls).toBeGreaterThan(0);
    const seen = fate(remote.peer);
    pump.abort('stalled');
    expect(await pump.ended).toEqual({ t: 'aborted', reason: 'stalled' });
    expect(await seen).toBe('ECONNRESET');
  });

  for (const cut of ['local', 'remote'] as const) {
    it(`resets the other connection when the ${cut} one is cut in the middle`, async () => {
      const { pump, ...ends } = await open('tcp', 'tcp');
      const other = cut === 'local' ? ends.remote : ends.local;
      await flow(ends[cut].peer, other.peer);
      const seen = fate(other.peer);
      ends[cut].peer.resetAndDestroy();
      expect(await pump.ended).toEqual({
        t: 'failed',
        side: cut,
        direction: cut === 'local' ? 'to-remote' : 'to-local',
        errno: 104,
        name: 'ECONNRESET',
      });
      expect(await seen).toBe('ECONNRESET');
    });
  }

  it('fails when the receiver of a torrent goes away, unix socket', async () => {
    const { pump, local, remote } = await open('unix', 'tcp');
    local.peer.pause();
    remote.peer.write(Buffer.alloc(30_000_000));
    while (pump.counters.stalls === 0) await new Promise(setImmediate);
    const seen = fate(remote.peer);
    local.peer.destroy();
    expect(await pump.ended).toMatchObject({ t: 'failed', side: 'local' });
    expect(await seen).toBe('ECONNRESET');
  });

  it('notices a reset of the sender while the receiver takes nothing and its own direction has ended', async () => {
    const { pump, local, remote } = await open('unix', 'tcp');
    local.peer.end();
    const ended = once(remote.peer, 'end');
    remote.peer.resume();
    await ended;
    local.peer.pause();
    remote.peer.write(Buffer.alloc(30_000_000));
    while (pump.counters.stalls === 0) await new Promise(setImmediate);
    remote.peer.resetAndDestroy();
    expect(await pump.ended).toEqual({ t: 'failed', side: 'remote', direction: 'to-local', errno: 104, name: 'ECONNRESET' });
  });

  it('resets both connections when its thread dies, and the next stream gets another thread', async () => {
    prepareWorkers(1);
    const worker = takeWorker();
    keepWorker(worker);
    const { pump, local, remote } = await open('tcp', 'tcp');
    await flow(remote.peer, local.peer);
    const fates = Promise.all([fate(local.peer), fate(remote.peer)]);
    const dead = worker.terminate();
    remote.peer.write('the byte that wakes it');
    expect(await pump.ended).toEqual({
      t: 'crashed',
      error: new Error('The worker of a stream exited with 1 and said nothing.'),
    });
    expect(await fates).toEqual(['ECONNRESET', 'ECONNRESET']);
    await dead;
    const next = await open('unix', 'tcp');
    await flow(next.remote.peer, next.local.peer);
    next.local.peer.end();
    next.remote.peer.end();
    expect(await next.pump.ended).toEqual({ t: 'clean' });
  });

  it('sleeps, and does not spin, while one side is gone for good and the other still silent', async () => {
    const { pump, local, remote } = await open('unix', 'tcp');
    const ended = once(remote.peer, 'end');
    remote.peer.resume();
    local.peer.destroy();
    await ended;
    await new Promise((resolve) => setTimeout(resolve, 50));
    const [calls, cpu] = [pump.counters.spliceCalls, process.cpuUsage()];
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { user, system } = process.cpuUsage(cpu);
    expect(pump.counters.spliceCalls - calls).toBeLessThan(4);
    expect((user + system) / 1000).toBeLessThan(150);
    remote.peer.end();
    expect(await pump.ended).toEqual({ t: 'clean' });
  });
});

const appFolder = fileURLToPath(new URL('../..', import.meta.url));

/** A process of its own with one pump between the port it is given and a unix socket that stays silent. */
const pumpProcess = `
import net from 'node:net';
import { once } from 'node:events';
import { detachSocket, duplicateFd, shutdownFd, socketpair } from '@vmferry/posix';
import { startPump } from './dist/pump/index.js';
const remote = net.connect(Number(process.argv[1]), '127.0.0.1');
await once(remote, 'connect');
const [local, quiet] = socketpair();
const { counters } = startPump({ local, remote: detachSocket(remote) });
process.stdin.once('data', () => process.exit(7)).once('end', () => shutdownFd(quiet, 'both'));
const tellWhenAsleep = () => (counters.silentMs < 100 ? setImmediate(tellWhenAsleep) : console.log('asleep'));
new net.Socket({ fd: duplicateFd(quiet) }).once('data', tellWhenAsleep);
`;

async function pumpInChild(): Promise<{ child: ChildProcess; peer: net.Socket }> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const { port } = server.address() as net.AddressInfo;
  const child = spawn(process.execPath, ['--input-type=module', '-e', pumpProcess, String(port)], {
    cwd: appFolder,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  const [peer] = (await accepted) as [net.Socket];
  onTestFinished(() => void peer.destroy());
  server.close();
  // A while after this byte came through, the thread sleeps in its system call.
  peer.write('x');
  if (child.stdout === null) throw new Error('no output');
  await once(child.stdout, 'data');
  return { child, peer };
}

describe('the end of the process', () => {
  it('comes by itself when the last stream has ended', { timeout: 20_000 }, async () => {
    const { child, peer } = await pumpInChild();
    const exited = once(child, 'exit');
    child.stdin?.end();
    peer.end();
    peer.resume();
    expect(await exited).toEqual([0, null]);
  });

  it('is not held up by a pump that sleeps, and resets its connection', { timeout: 20_000 }, async () => {
    const { child, peer } = await pumpInChild();
    const seen = fate(peer);
    const exited = once(child, 'exit');
    child.stdin?.write('exit');
    expect(await exited).toEqual([7, null]);
    expect(await seen).toBe('ECONNRESET');
  });

  it('is a reset for the peer even by SIGKILL, never an end that looks clean', { timeout: 20_000 }, async () => {
    const { child, peer } = await pumpInChild();
    const seen = fate(peer);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    expect(await seen).toBe('ECONNRESET');
  });
});
