import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type net from 'node:net';
import { describe, expect, it } from 'vitest';
import { startPump } from './index.js';
import { pipeBytesWanted } from './pump-descriptors.js';
import { fate, receive, send } from './testing/connections.js';
import { connected, everyPath, rigOn } from './testing/rig.js';

const openDescriptors = () => readdirSync('/proc/self/fd').length;
const bytesOf = (blocks: number) => blocks * 65_536;

describe.each(everyPath)('startPump by %s', (path) => {
  const open = rigOn(path);
  for (const [near, far] of [
    ['unix', 'tcp'],
    ['tcp', 'tcp'],
    ['unix', 'unix'],
  ] as const) {
    it(`S37: carries 64 MiB each way at once between ${near} and ${far}, whole`, { timeout: 60_000 }, async () => {
      const { pump, local, remote } = await open(near, far);
      const [sentLocal, sentRemote, gotLocal, gotRemote] = await Promise.all([
        send(local.peer, 1024),
        send(remote.peer, 1024),
        receive(local.peer),
        receive(remote.peer),
      ]);
      expect(gotRemote).toBe(sentLocal);
      expect(gotLocal).toBe(sentRemote);
      expect(await pump.ended).toEqual({ t: 'clean' });
      expect(pump.counters.bytesToLocal).toBe(bytesOf(1024));
      expect(pump.counters.bytesToRemote).toBe(bytesOf(1024));
      if (path === 'splice') expect(pump.counters.spliceCalls).toBeGreaterThan(2 * (bytesOf(1024) / pipeBytesWanted));
      else expect(pump.counters.spliceCalls).toBe(0);
      expect(pump.path).toBe(path);
    });
  }

  for (const first of ['local', 'remote'] as const) {
    it(`S50: keeps the other direction open after the end of the ${first} one, for as long as it likes`, async () => {
      const { pump, ...ends } = await open('unix', 'tcp');
      const [early, late] = first === 'local' ? [ends.local.peer, ends.remote.peer] : [ends.remote.peer, ends.local.peer];
      const heard = receive(late);
      const told = await send(early, 3);
      expect(await heard).toBe(told);
      // The answer starts only now, after the end of the question has arrived.
      const answer = receive(early);
      expect(await send(late, 40)).toBe(await answer);
      expect(await pump.ended).toEqual({ t: 'clean' });
      const [toLate, toEarly] = [bytesOf(3), bytesOf(40)];
      expect(pump.counters.bytesToLocal).toBe(first === 'local' ? toEarly : toLate);
      expect(pump.counters.bytesToRemote).toBe(first === 'local' ? toLate : toEarly);
    });
  }

  it('brings the head before all other bytes, also one that is larger than the pipe', async () => {
    for (const headBytes of [1, 70_000, 2 * pipeBytesWanted + 1]) {
      const head = Buffer.alloc(headBytes, 'h');
      const chunks: Buffer[] = [];
      const { pump, local, remote } = await open('unix', 'tcp', { head });
      local.peer.on('data', (bytes: Buffer) => chunks.push(bytes));
      remote.peer.end('tail');
      await once(local.peer, 'end');
      local.peer.end();
      expect(await pump.ended).toEqual({ t: 'clean' });
      expect(Buffer.concat(chunks).equals(Buffer.concat([head, Buffer.from('tail')]))).toBe(true);
      expect(pump.counters.bytesToLocal).toBe(headBytes + 4);
    }
  });

  it('leaves to a slow reader what the kernel holds at a clean end', async () => {
    const { pump, local, remote } = await open('unix', 'tcp');
    remote.peer.end();
    // Far more than the window of a reader that does not read, and less than the 256 KiB that the sender's kernel holds unsent.
    local.peer.end(Buffer.alloc(250_000, 'l'));
    expect(await pump.ended).toEqual({ t: 'clean' });
    // By now no process but this reader holds the connection.
    let got = 0;
    remote.peer.on('data', (bytes: Buffer) => {
      got += bytes.length;
    });
    await once(remote.peer, 'end');
    expect(got).toBe(250_000);
  });

  it('passes a single byte on at once and counts the silence after it', async () => {
    const { pump, local, remote } = await open('unix', 'tcp');
    for (const [from, to, counter] of [
      [local.peer, remote.peer, 'bytesToRemote'],
      [remote.peer, local.peer, 'bytesToLocal'],
    ] as const) {
      const arrived = once(to, 'data');
      from.write('x');
      expect(String(await arrived)).toBe('x');
      // The byte may be there before the worker has noted it.
      while (pump.counters[counter] === 0) await new Promise(setImmediate);
      const silence = pump.counters.silentMs;
      expect(silence).toBeGreaterThanOrEqual(0);
      expect(silence).toBeLessThan(5_000);
      while (pump.counters.silentMs === silence) await new Promise(setImmediate);
      expect(pump.counters.silentMs).toBeGreaterThan(silence);
    }
    pump.abort('the test is over');
    await pump.ended;
  });

  it('holds no more than its pipe when the reader is slow, then brings it all', { timeout: 60_000 }, async () => {
    const { pump, local, remote } = await open('unix', 'unix');
    const residentBefore = process.memoryUsage.rss();
    let taken = 0;
    const block = Buffer.alloc(65_536, 's');
    // Nobody reads: the sender is let on until the pump stands still with bytes in its pipe, and nothing more is taken.
    const stuck = () => pump.counters.stalls > 0 && local.peer.writableLength > bytesOf(8);
    while (!stuck()) {
      local.peer.write(block);
      taken += block.length;
      await new Promise(setImmediate);
    }
    let accepted = -1;
    let stalls = -1;
    while (accepted !== taken - local.peer.writableLength || stalls !== pump.counters.stalls) {
      accepted = taken - local.peer.writableLength;
      stalls = pump.counters.stalls;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // Two socket buffers of the kernel's usual 208 KiB at most, each with the packet that overshot, and the pipe between.
    expect(accepted).toBeLessThan(pipeBytesWanted + 2 * 400_000);
    expect(process.memoryUsage.rss() - residentBefore).toBeLessThan(64 * 1024 * 1024);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(pump.counters.stalls).toBe(stalls);

    let received = 0;
    remote.peer.on('data', (bytes: Buffer) => {
      received += bytes.length;
    });
    local.peer.end();
    await once(remote.peer, 'end');
    expect(received).toBe(taken);
    remote.peer.end();
    expect(await pump.ended).toEqual({ t: 'clean' });
  });

  it('I6: leaves no descriptor behind, however it ends', async () => {
    const run = async (finish: (local: net.Socket, remote: net.Socket, abort: () => void) => void) => {
      const { pump, local, remote } = await open('unix', 'tcp');
      // A peer that breaks off itself sees no fate; the listeners are what counts here.
      void Promise.all([fate(local.peer), fate(remote.peer)]);
      finish(local.peer, remote.peer, () => pump.abort('test'));
      const end = await pump.ended;
      for (const { peer } of [local, remote]) {
        peer.destroy();
        if (!peer.closed) await once(peer, 'close');
      }
      return end.t;
    };
    const clean = (local: net.Socket, remote: net.Socket) => {
      local.end();
      remote.end();
    };
    expect(await run(clean)).toBe('clean');
    await new Promise((resolve) => setTimeout(resolve, 200));
    const before = openDescriptors();
    for (let turn = 0; turn < 5; turn += 1) {
      expect(await run(clean)).toBe('clean');
      expect(await run((_local, _remote, abort) => abort())).toBe('aborted');
      expect(await run((_local, remote) => remote.resetAndDestroy())).toBe('failed');
    }
    for (let tries = 0; tries < 200 && openDescriptors() > before; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(openDescriptors()).toBe(before);
  });
});

describe('startPump', () => {
  const open = rigOn('splice');

  it('runs streams side by side, each on a thread of its own, and keeps one thread for the next', async () => {
    const threads = () => readdirSync('/proc/self/task').length;
    const round = async (streams: number) => {
      const pumps = [];
      for (let count = 0; count < streams; count += 1) {
        pumps.push(await open('unix', 'unix'));
      }
      const most = threads();
      for (const { local, remote } of pumps.reverse()) {
        const heard = receive(remote.peer);
        expect(await send(local.peer, 2)).toBe(await heard);
        remote.peer.end();
      }
      for (const { pump } of pumps) expect(await pump.ended).toEqual({ t: 'clean' });
      return most;
    };
    await round(1);
    const idle = threads();
    const most = await round(3);
    expect(most).toBeGreaterThanOrEqual(idle + 2);
    while (threads() > idle) await new Promise(setImmediate);
    await round(1);
    expect(threads()).toBe(idle);
  });

  it('holds no more than its pipe and the larger send buffer towards a QEMU that reads slowly', { timeout: 60_000 }, async () => {
    const { pump, local, remote } = await open('unix', 'unix', { bulk: 'to-local' });
    const block = Buffer.alloc(bytesOf(64), 's');
    remote.peer.end(block);
    let moved = -1;
    while (pump.counters.stalls === 0 || moved !== pump.counters.bytesToLocal) {
      moved = pump.counters.bytesToLocal;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // The kernel takes twice what it is told, one packet may overshoot, and Node reads one block ahead.
    expect(moved).toBeLessThan(2 * pipeBytesWanted + 200_000);
    expect(await receive(local.peer)).toBe(createHash('sha256').update(block).digest('hex'));
    local.peer.end();
    expect(await pump.ended).toEqual({ t: 'clean' });
  });

  it('closes both connections when it cannot start', async () => {
    const local = await connected('unix');
    const seen = fate(local.peer);
    expect(() => startPump({ local: local.fd, remote: 987_654 })).toThrow(/EBADF/);
    expect(await seen).toBe('end');
  });
});
