import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { VersionReply } from '@vmferry/api';
import type { Auditor } from '@vmferry/audit';
import { VmferryError } from '@vmferry/errors';
import { openFilesMax } from '@vmferry/posix';
import type { Clock, Random } from '@vmferry/seams';
import type { TlsIdentity } from '@vmferry/tls';
import type { Express } from 'express';
import { type Authenticator, isLoopback } from './authentication.js';
import { certifiedServer } from './certificates.js';
import { routeFaults } from './describe-routes.js';
import { expressApp } from './express-app.js';
import type { Log } from './log.js';
import type { Metrics } from './metrics.js';
import { writeRawProblem } from './raw-response.js';
import type { Route, UpgradeRoute } from './route.js';
import { boundSlowSenders } from './slow-senders.js';
import { type ReadyCheck, standardRoutes } from './standard-routes.js';
import { upgradeListener } from './upgrades.js';

/** Threats, row 12. Upgraded sockets have left the server: their timers are their owner's. */
export interface ServerLimits {
  readonly headersTimeoutMs: number;
  /** For reading a request; an answer may take as long as its step. */
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly headerBytesMax: number;
  readonly connectionsMax: number;
  /** Connections that owe a request, or the rest of one. Of more than these the one that has owed for longest is closed. */
  readonly slowSendersMax: number;
  /** How long a drain waits for requests that are being served. */
  readonly drainTimeoutMs: number;
}

/** How often a drain closes the connections that have had their last answer. */
const idleSweepMs = 50;

/** Half of what this process may have open is for its files and its guests. */
const connectionsMax = Math.min(8_192, Math.floor(openFilesMax() / 2));

export const serverLimits: ServerLimits = {
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 15_000,
  keepAliveTimeoutMs: 5_000,
  headerBytesMax: 16_384,
  connectionsMax,
  slowSendersMax: Math.min(1_024, Math.floor(connectionsMax / 2)),
  drainTimeoutMs: 10_000,
};

export interface ServiceOptions {
  readonly app: VersionReply['app'];
  readonly routes: readonly Route[];
  readonly upgrades?: readonly UpgradeRoute[];
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly authenticator: Authenticator;
  /** Of every call that changes something. */
  readonly auditor: Pick<Auditor, 'api'>;
  readonly limits?: Partial<ServerLimits>;
  /** With it the app speaks HTTPS alone, and every caller shows a certificate. */
  readonly tls?: TlsIdentity | null;
  version(): VersionReply;
  ready(): Promise<Readonly<Record<string, ReadyCheck>>>;
}

export interface Service {
  readonly app: Express;
  readonly server: http.Server;
  /** Throws 'invalid-argument' for an address off loopback without credentials, or one that cannot be bound. */
  listen(at: { readonly host: string; readonly port: number }): Promise<{ readonly url: string }>;
  /** Answers new work with 'draining' and ends event streams and long polls; reads are answered as before, and `/readyz` says no. */
  refuseWork(): void;
  /** Refuses new work, stops listening, and resolves when the running requests are answered or their time is over. */
  drain(): Promise<void>;
}

/** Everything of an app's HTTP side. A registry with faults (`routeFaults`) throws: the app does not start. */
export function createService(options: ServiceOptions): Service {
  const bounds = { ...serverLimits, ...options.limits };
  const draining = new AbortController();
  const upgrades = options.upgrades ?? [];
  const freshRequestId = () => options.random.uuid();
  const isDraining = () => draining.signal.aborted;
  const routes = [...standardRoutes({ ...options, upgrades, isDraining }), ...options.routes];
  const faults = routeFaults(routes);
  if (faults.length > 0) throw new Error(`the routes of ${options.app} have faults: ${faults.join('; ')}`);

  const app = expressApp({ ...options, routes, upgrades, draining: draining.signal, freshRequestId });
  const server = createServer(app, bounds, options);
  server.on('clientError', answerClientError);
  server.on('upgrade', upgradeListener({ upgrades, log: options.log, freshRequestId, isDraining }));
  const upgraded = upgradedSockets(server);
  const refuseWork = () => draining.abort(new VmferryError('draining', 'The service is shutting down.'));
  return {
    app,
    server,
    listen: (at) => listen(server, options, at),
    refuseWork,
    async drain() {
      refuseWork();
      if (!server.listening) return;
      const cut = options.clock.after(bounds.drainTimeoutMs, () => {
        server.closeAllConnections();
        for (const socket of upgraded) socket.destroy();
      });
      await closed(server, options.clock);
      cut.cancel();
    },
  };
}

function createServer(app: Express, bounds: ServerLimits, { tls = null, log }: ServiceOptions): http.Server {
  const settings = {
    maxHeaderSize: bounds.headerBytesMax,
    headersTimeout: bounds.headersTimeoutMs,
    requestTimeout: bounds.requestTimeoutMs,
    keepAliveTimeout: bounds.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, bounds.headersTimeoutMs),
  };
  const server =
    tls === null
      ? http.createServer(settings, app)
      : certifiedServer(tls, log, { ...settings, handshakeTimeout: bounds.headersTimeoutMs }, app);
  server.maxConnections = bounds.connectionsMax;
  boundSlowSenders(server, bounds.slowSendersMax, tls === null ? 'connection' : 'secureConnection');
  server.maxRequestsPerSocket = 1_000;
  return server;
}

/** A request that never became one: it still gets a problem document, as long as nothing else was written. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET') socket.destroy();
  else if (error.code === 'HPE_HEADER_OVERFLOW') {
    writeRawProblem(socket, new VmferryError('malformed-request', 'The header of the request is too large.'), { status: 431 });
  } else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    writeRawProblem(socket, new VmferryError('request-timeout', 'The request was not sent in time.'), { status: 408 });
  } else writeRawProblem(socket, new VmferryError('malformed-request', 'This is not an HTTP/1.1 request.'));
}

async function listen(
  server: http.Server,
  options: ServiceOptions,
  at: { host: string; port: number },
): Promise<{ url: string }> {
  const { tls = null } = options;
  if (options.authenticator.t === 'local' && tls === null) {
    if (!isLoopback(at.host)) {
      const detail = `Without credentials this app listens on loopback only, not on ${at.host}; give a credentials file or listen on 127.0.0.1.`;
      throw new VmferryError('invalid-argument', detail);
    }
    options.log.warn('no credentials are configured: every caller on loopback has every permission');
  }
  await new Promise<void>((resolve, reject) => {
    const refuse = (cause: Error) =>
      reject(new VmferryError('invalid-argument', `Cannot listen on ${at.host}:${at.port}: ${cause.message}`, { cause }));
    server.once('error', refuse);
    server.listen(at.port, at.host, () => {
      server.off('error', refuse);
      resolve();
    });
  });
  // A TCP server that listens has an AddressInfo; a string is a pipe's, and null comes before `listening`.
  const { address, port, family } = server.address() as AddressInfo;
  return { url: `${tls === null ? 'http' : 'https'}://${family === 'IPv6' ? `[${address}]` : address}:${port}` };
}

/** The sockets that left the server by an upgrade and are still Node's: `closeAllConnections` does not know them any more. */
function upgradedSockets(server: http.Server): ReadonlySet<Duplex> {
  const sockets = new Set<Duplex>();
  server.on('upgrade', (_request, socket: Duplex) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

/** A connection that is answered now would be kept for its next request, and hold the end up for as long: idle ones are looked for again. */
async function closed(server: http.Server, clock: Clock): Promise<void> {
  let sweep = { cancel: () => {} };
  const closeIdle = () => {
    server.closeIdleConnections();
    sweep = clock.after(idleSweepMs, closeIdle);
  };
  const done = new Promise<void>((resolve) => server.close(() => resolve()));
  closeIdle();
  await done;
  sweep.cancel();
}
