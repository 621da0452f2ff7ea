import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '@vmferry/seams';
import { EtcdLocks } from '../etcd/etcd-locks.js';
import { PeerLink } from './peer-link.js';

/** What etcd says once it serves clients, which a member of a cluster does when there is a leader. */
const serves = /serving client traffic (in)?securely/;

/** Paths of PEM files that an etcd shows its clients, and whose clients it serves. */
interface ServerFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

interface Member {
  readonly name: string;
  readonly client: string;
  readonly peer: string;
  /** Where the other members reach it. */
  readonly link: PeerLink;
}

/** A real etcd of one member or several on loopback, in a folder of its own. */
export class EtcdServers {
  readonly #folder = mkdtempSync(join(tmpdir(), 'etcd-'));
  readonly #running = new Map<number, ChildProcess>();
  #members: readonly Member[] = [];
  #tls: ServerFiles | null;

  /** With `tls` clients are served over TLS alone; `useTls` replaces the files. */
  static async start(count: number, tls: ServerFiles | null = null): Promise<EtcdServers> {
    const servers = new EtcdServers(tls);
    const ports = await freePorts(2 * count);
    process.once('exit', servers.#killAll);
    const links = await Promise.all(Array.from({ length: count }, (_, index) => PeerLink.open(ports[2 * index + 1] ?? 0)));
    servers.#members = links.map((link, index) => ({
      name: `m${index}`,
      client: `${tls === null ? 'http' : 'https'}://127.0.0.1:${ports[2 * index]}`,
      peer: `http://127.0.0.1:${ports[2 * index + 1]}`,
      link,
    }));
    await Promise.all(servers.#members.map((_, index) => servers.run(index)));
    return servers;
  }

  private constructor(tls: ServerFiles | null) {
    this.#tls = tls;
  }

  /** What members that are started from now on show, and whom they serve. */
  useTls(tls: ServerFiles): void {
    this.#tls = tls;
  }

  /** Cuts a member off from the others: its clients still reach it. With null all reach each other again. */
  cutOff(index: number | null): void {
    const gone = index === null ? null : this.#member(index).link.url;
    for (const { link } of this.#members) link.cut(gone);
  }

  get endpoints(): string[] {
    return this.#members.map(({ client }) => client);
  }

  /** The driver of a host, with keys that begin with `prefix`; it asks the member `first` before the others, and knows `count` of them. */
  locksOf(hostUuid: string, prefix: string, first = 0, count = this.endpoints.length): EtcdLocks {
    const endpoints = [...this.endpoints.slice(first), ...this.endpoints.slice(0, first)].slice(0, count);
    return new EtcdLocks({ endpoints, prefix, tls: null, hostUuid, clock: systemClock, random: systemRandom });
  }

  /** Starts a member, or starts it again with what it has on disk; resolves when it serves. */
  async run(index: number): Promise<void> {
    const { name, client, peer, link } = this.#member(index);
    const child = spawn(
      'etcd',
      [
        ['--name', name, '--data-dir', join(this.#folder, name), '--logger', 'zap'],
        ['--listen-client-urls', client, '--advertise-client-urls', client],
        ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', link.url],
        ['--initial-cluster', this.#members.map((each) => `${each.name}=${each.link.url}`).join(',')],
        // The values of a LAN; etcd's own are ten times as long.
        ['--heartbeat-interval', '50', '--election-timeout', '500'],
        ...tlsArguments(this.#tls),
      ].flat(),
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#running.set(index, child);
    let said = '';
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`etcd ${name} ended with ${code}: ${said.slice(-2_000)}`)));
      child.stderr.on('data', (bytes: Buffer) => {
        said += bytes.toString('utf8');
        if (serves.test(said)) resolve();
        said = said.slice(-10_000);
      });
    });
  }

  signal(index: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#running.get(index)?.kill(signal);
  }

  async kill(index: number): Promise<void> {
    const child = this.#running.get(index);
    if (child === undefined) return;
    this.#running.delete(index);
    const ended = once(child, 'close');
    child.kill('SIGKILL');
    await ended;
  }

  async close(): Promise<void> {
    for (const index of this.#running.keys()) await this.kill(index);
    for (const { link } of this.#members) link.close();
    process.off('exit', this.#killAll);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Also when the test runner ends early: nothing outlives it. */
  readonly #killAll = (): void => {
    for (const child of this.#running.values()) child.kill('SIGKILL');
  };

  #member(index: number): Member {
    const member = this.#members[index];
    if (member === undefined) throw new Error(`There is no member ${index}.`);
    return member;
  }
}

function tlsArguments(tls: ServerFiles | null): string[][] {
  if (tls === null) return [];
  return [['--cert-file', tls.cert, '--key-file', tls.key, '--trusted-ca-file', tls.ca, '--client-cert-auth']];
}

/** Ports that nobody listened on a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
