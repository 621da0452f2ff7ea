import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { StreamResource } from '@vmferry/api';
import { RelayClient } from '@vmferry/client';
import { type TlsFiles, TlsIdentity } from '@vmferry/tls';
import { expect, onTestFinished } from 'vitest';

export interface RelayProcess {
  readonly child: ChildProcess;
  readonly url: string;
  readonly client: RelayClient;
  readonly stateDir: string;
  /** What is in its folder of sockets. */
  sockets(): string[];
  /** What it has logged so far; with `--log-level info`, each change of a stream. */
  logged(): string;
  /** How many descriptors it holds (I6). */
  descriptors(): number;
}

const entry = new URL('../../dist/main.js', import.meta.url).pathname;

/** A relay in a process of its own, from dist, ended with the test. `environment` is all that it gets; `caller` is who its client is over TLS. */
export async function relayProcess(
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
  caller: TlsFiles | null = null,
): Promise<RelayProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'vf-relay-'));
  const runtimeDir = join(folder, 'run');
  const fixed = [
    '--host-name',
    'spec',
    '--state-dir',
    join(folder, 'state'),
    '--runtime-dir',
    runtimeDir,
    '--listen',
    '127.0.0.1:0',
    '--log-level',
    'error',
  ];
  const child = spawn(process.execPath, [entry, ...fixed, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment,
  });
  let log = '';
  child.stderr.on('data', (lines: Buffer) => {
    log += lines.toString();
  });
  const exited = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
    rmSync(folder, { recursive: true });
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return {
    child,
    url,
    client: new RelayClient(url, { tls: caller === null ? null : identityOf(caller) }),
    stateDir: join(folder, 'state'),
    logged: () => log,
    sockets: () => readdirSync(join(runtimeDir, 'streams')),
    descriptors: () => readdirSync(`/proc/${child.pid}/fd`).length,
  };
}

/** The options of a relay that is the owner of this certificate. */
export function tlsArguments({ cert, key, ca }: TlsFiles): string[] {
  return ['--tls-cert', cert, '--tls-key', key, '--tls-ca', ca];
}

export function identityOf(files: TlsFiles): TlsIdentity {
  return new TlsIdentity(files);
}

/** A relay whose start is refused: its exit code, and what it said. */
export async function refusedRelay(args: readonly string[]): Promise<{ code: number; errors: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'vf-relay-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const fixed = ['--state-dir', join(folder, 'state'), '--runtime-dir', join(folder, 'run'), '--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, [entry, ...fixed, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, errors };
}

/** A connection to a stream's local socket, as QEMU's would be. */
export async function qemuEnd(stream: StreamResource): Promise<net.Socket> {
  const socket = net.connect({ path: stream.localSocket ?? 'none', allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

export interface Tunnel {
  readonly source: StreamResource;
  readonly destination: StreamResource;
  readonly qemuA: net.Socket;
  readonly qemuB: net.Socket;
}

/** A stream through both relays, with both local ends connected. */
export async function tunnel(a: RelayProcess, b: RelayProcess): Promise<Tunnel> {
  const destination = await b.client.createStream({ role: 'destination', migrationId: 'm1' });
  const peer = { url: destination.attachUrl ?? '', ticket: destination.ticket ?? '' };
  const source = await a.client.createStream({ role: 'source', migrationId: 'm1', peer });
  const [qemuA, qemuB] = [await qemuEnd(source), await qemuEnd(destination)];
  return { source, destination, qemuA, qemuB };
}

/** The stream once it is in one of those states. What changes it is the kernel's doing, so it is asked for again and again. */
export async function streamIn(relay: RelayProcess, id: string, ...states: StreamResource['state'][]): Promise<StreamResource> {
  for (;;) {
    const stream = await relay.client.stream(id);
    if (states.includes(stream.state)) return stream;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Writes random bytes as fast as they are taken, ends the direction, and tells their digest. */
export async function send(socket: net.Socket, bytes: number): Promise<string> {
  const digest = createHash('sha256');
  for (let left = bytes; left > 0; left -= 65_536) {
    const block = randomBytes(Math.min(left, 65_536));
    digest.update(block);
    if (!socket.write(block)) await once(socket, 'drain');
  }
  socket.end();
  return digest.digest('hex');
}

/** Reads to the end of the direction and tells the digest of what came. */
export async function receive(socket: net.Socket): Promise<string> {
  const digest = createHash('sha256');
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) digest.update(chunk as Buffer);
  return digest.digest('hex');
}

/** Reads on until the socket is closed, told by an end or by a reset; `once` would take the error of a reset for its own. */
export function closeOf(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    socket
      .on('error', () => undefined)
      .on('close', () => resolve())
      .resume();
  });
}

/** Pours so many bytes into both ends of a tunnel at once, each with its end behind them, and proves that all of them came. */
export async function expectBothWays({ qemuA, qemuB }: Pick<Tunnel, 'qemuA' | 'qemuB'>, bytes: number): Promise<void> {
  const [sentA, sentB, gotA, gotB] = await Promise.all([send(qemuA, bytes), send(qemuB, bytes), receive(qemuA), receive(qemuB)]);
  expect([gotA, gotB]).toEqual([sentB, sentA]);
}

/** Streams that follow use threads and connections again: whatever grows with each would show. */
export async function expectNothingLeftByMore(a: RelayProcess, b: RelayProcess): Promise<void> {
  const before = [a.descriptors(), b.descriptors()];
  for (let more = 0; more < 4; more += 1) {
    const again = await tunnel(a, b);
    again.qemuA.end();
    again.qemuB.end();
    await streamIn(a, again.source.id, 'closed');
    await streamIn(b, again.destination.id, 'closed');
  }
  const grown = [a.descriptors(), b.descriptors()].map((now, index) => now - (before[index] ?? 0));
  expect(Math.max(...grown), 'descriptors that four streams have left behind').toBeLessThan(4);
}
