import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { congestionControl, setCongestionControl, takeHandle } from '@vmferry/posix';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Pacing } from './pacing.js';

const read = (name: string) => readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim();
const available = read('tcp_allowed_congestion_control').split(' ');

async function tcpSocket(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  server.close();
  onTestFinished(() => void socket.destroy());
  return takeHandle(socket);
}

/** What a socket that began with `name` has before it connects, and after it has, with a peer so far away. */
async function course(name: string | null, roundTripMicros?: number): Promise<string[]> {
  const fd = await tcpSocket();
  if (name !== null) setCongestionControl(fd, name);
  const pacing = new Pacing();
  pacing.beforeConnect(fd);
  const before = congestionControl(fd);
  pacing.connected(fd, roundTripMicros);
  return [before, congestionControl(fd)];
}

describe('Pacing', () => {
  it('leaves what the host has chosen, but for one that paces', async () => {
    const chosen = read('tcp_congestion_control');
    const [before] = await course(null);
    expect(before).toBe(chosen.startsWith('bbr') ? 'reno' : chosen);
  });

  it.each(available.filter((name) => !name.startsWith('bbr')))('leaves %s alone, near and far', async (name) => {
    expect(await course(name, 50)).toEqual([name, name]);
    expect(await course(name, 20_000)).toEqual([name, name]);
  });

  it.runIf(available.includes('bbr'))('gives bbr back to a connection whose peer is a millisecond away or more', async () => {
    expect(await course('bbr', 999)).toEqual(['reno', 'reno']);
    expect(await course('bbr', 1_000)).toEqual(['reno', 'bbr']);
  });
});
