import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MigrationMetrics, type OpenHost, openHost, Peers, Protocols } from '@vmferry/agent';
import { type BeginReply, streamProtocol } from '@vmferry/api';
import type { DestinationAgentClient } from '@vmferry/client';
import { type CookieGraphics, cookieToBase64, encodeCookie } from '@vmferry/cookie';
import { DocumentStore, type DomainStatus } from '@vmferry/host-state';
import { identityOf } from '@vmferry/hypervisor';
import { noFaults, systemClock, systemRandom } from '@vmferry/seams';
import { ControlSessions, type Log, Metrics } from '@vmferry/service';
import { onTestFinished } from 'vitest';
import type { SourceContext } from '../context.js';
import { Domains } from '../domains/domains.js';
import { Lifecycle } from '../domains/lifecycle.js';
import { outgoingJournal } from '../outgoing/outgoing-journal.js';
import { Outgoings } from '../outgoing/outgoings.js';
import { ManagedImages } from '../saving/managed-images.js';
import { optionsIn } from './running-agent.js';
import type { ScriptedMonitor } from './scripted-monitor.js';
import { silentLog } from './spec-parts.js';

const uuid = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
const storeId = 'f'.repeat(32);
const xml = `<domain type='qemu'><name>guest</name><uuid>${uuid}</uuid><memory unit='KiB'>4096</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>`;

/** What the other host answers when it is asked for its record. */
interface FarRecord {
  answer: 'open' | 'committed' | 'aborted';
}

/**
 * The outgoing migrations of a real host, with real documents, audit and locks. Its one guest, transient and running, is a process that passes
 * its monitor on to a scripted one; the other host is a double that takes any stream and whose record says what the spec sets.
 */
export async function outgoingRig(monitor: ScriptedMonitor, log: Log = silentLog) {
  const folder = mkdtempSync(join(tmpdir(), 'vf-'));
  const host = await openHost('source-agent', optionsIn(folder), noFaults, log);
  const stream = await streamTaker();
  const record: FarRecord = { answer: 'open' };
  const context = contextOf(host, record, log);
  const guest = await guestProcess(join(folder, 'm'), monitor.path);
  onTestFinished(async () => {
    guest.kill('SIGKILL');
    stream.close();
    await host.close();
    rmSync(folder, { recursive: true });
  });
  await host.state.statuses.write(statusOf(guest.pid ?? 0, join(folder, 'm'), folder));
  const domains = new Domains(context, new Lifecycle(context));
  await domains.load();
  const outgoings = new Outgoings(context, domains);
  const prepared = (begun: BeginReply, graphics?: CookieGraphics) => preparedCookie(begun, stream.url, graphics);
  return { context, domains, outgoings, record, uuid, prepared };
}

/** Only the process of the guest itself may listen on its monitor, so the script is behind it. */
const passOn = `
  const net = require('node:net');
  net.createServer((agent) => {
    const script = net.connect(process.argv[2]);
    for (const socket of [agent, script]) socket.on('error', () => undefined).on('close', () => (agent.destroy(), script.destroy()));
    agent.pipe(script).pipe(agent);
  }).listen(process.argv[1], () => console.log('listening'));`;

async function guestProcess(path: string, scriptedPath: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['-e', passOn, path, scriptedPath], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

function contextOf(
  { state, guestHost, locks, auditor, events, migrateTls }: OpenHost,
  record: FarRecord,
  log: Log,
): SourceContext {
  const outcome = () => ({
    answer: record.answer,
    storeId,
    lockState: null,
    reason: null,
    held: null,
    resumedMsAgo: null,
    announcedMsAgo: null,
  });
  return {
    clock: systemClock,
    random: systemRandom,
    faults: noFaults,
    log,
    host: state.identity,
    publicUrl: () => 'http://here',
    protocols: new Protocols(['v3', 'v2'], locks),
    peers: new Peers({ peer: [] }),
    events,
    arrivals: state.arrivals,
    leaving: state.leaving,
    departures: new Map(),
    guestHost,
    journals: new DocumentStore({
      dir: state.folders.migrations,
      suffix: '.outgoing.json',
      parse: (value) => outgoingJournal.parse(value),
      version: 1,
      report: () => undefined,
    }),
    configs: state.configs,
    locks,
    auditor,
    sessions: new ControlSessions({ clock: systemClock, random: systemRandom }),
    metrics: new MigrationMetrics(new Metrics(), 'source', () => []),
    relay: null,
    migrateTls,
    // It stands for the agent of the other host.
    destinationAgent: () =>
      ({
        outcome: () => Promise.resolve(outcome()),
        acknowledge: () => Promise.resolve(),
      }) as unknown as DestinationAgentClient,
    incomingRecord: () => Promise.resolve(null),
    imageRoots: ['/'],
    managedImages: new ManagedImages('/nowhere'),
    retryMs: 100,
    sessionTtlSeconds: 15,
  };
}

/** As the agent finds it when it starts: a transient guest that runs. */
function statusOf(pid: number, monitor: string, folder: string): DomainStatus {
  const process = identityOf(pid);
  if (process === null) throw new Error('the process that stands for QEMU did not start');
  return {
    uuid,
    name: 'guest',
    owner: 'source',
    persistent: false,
    state: 'running',
    reason: 'booted',
    process,
    monitors: { source: monitor, destination: monitor },
    logPath: join(folder, 'log'),
    runtimeDir: join(folder, 'run', 'guest'),
    migration: null,
    tainted: [],
    domainXml: xml,
  };
}

/** Prepare's cookie, as the other host would have made it. */
function preparedCookie({ nonce }: BeginReply, url: string, graphics?: CookieGraphics): string {
  return cookieToBase64(
    encodeCookie({
      name: 'guest',
      uuid,
      hostName: 'far.example',
      hostUuid: '11111111-1111-4111-8111-111111111111',
      features: [],
      ...(graphics === undefined ? {} : { graphics }),
      vmferry: {
        migrationId: 'm1',
        nonce,
        peer: { role: 'destination', url: 'http://far', storeId },
        stream: { url, ticket: 't'.repeat(64) },
      },
    }),
  );
}

/** An HTTP server that takes any stream, and reads it until it is closed. */
async function streamTaker(): Promise<{ readonly url: string; close(): void }> {
  const server = http.createServer();
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => undefined);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${streamProtocol}\r\n\r\n`);
    socket.resume();
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // A TCP server that listens has one.
  return { url: `http://127.0.0.1:${port}/v1/migrations/m1/stream`, close: () => server.close() };
}
