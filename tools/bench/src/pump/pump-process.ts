import { once } from 'node:events';
import { createServer, type Server, Socket } from 'node:net';
import { detachSocket } from '@vmferry/posix';
import { prepareWorkers, startPump, type TlsSession } from '@vmferry/tunnel-relay/pump';
import type { Address } from '../ends/ends.js';

/** A process with the relay's pump in it and nothing else: it pumps one stream at a time, through pipes of the size it is told. */
export interface PumpOrder {
  readonly pipeBytes: number;
  readonly bulk: 'to-local' | 'to-remote';
  /** Where the local end is to connect to: a short path that does not exist. */
  readonly localPath: string;
  /** Where another pump listens; null when this one is to listen. */
  readonly remotePort: number | null;
  /** With it the remote end is another pump that speaks TLS. */
  readonly tls: TlsSession | null;
}

export type PumpAnswer =
  | { readonly t: 'listening'; readonly local: Address; readonly remote: { readonly port: number } }
  | { readonly t: 'ended'; readonly how: string; readonly spliceCalls: number; readonly stalls: number };

const answer = (message: PumpAnswer) => process.send?.(message);

prepareWorkers(1);
process.on('message', (order: PumpOrder) => {
  void pumpOnce(order);
});

async function pumpOnce({ pipeBytes, bulk, localPath, remotePort, tls }: PumpOrder): Promise<void> {
  const local = createServer({ pauseOnConnect: true });
  local.listen(localPath);
  await once(local, 'listening');
  const remote = remotePort === null ? await listeningRemote() : await connectedRemote(remotePort);
  const arriving = Promise.all([arrivalAt(local), remote.arriving]);
  answer({ t: 'listening', local: { path: localPath }, remote: { port: remote.port } });
  const [localSocket, remoteSocket] = await arriving;
  const ends = { local: detachSocket(localSocket), remote: detachSocket(remoteSocket) };
  const pump = startPump({ ...ends, bulk, pipeBytes, tls });
  const { t: how } = await pump.ended;
  const { spliceCalls, stalls } = pump.counters;
  answer({ t: 'ended', how, spliceCalls, stalls });
}

interface Remote {
  readonly port: number;
  readonly arriving: Promise<Socket>;
}

async function listeningRemote(): Promise<Remote> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The remote end listens nowhere.');
  return { port: address.port, arriving: arrivalAt(server) };
}

async function connectedRemote(port: number): Promise<Remote> {
  // Paused before it is connected: what comes first is the pump's, and Node reads none of it.
  const socket = new Socket().pause().connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return { port, arriving: Promise.resolve(socket) };
}

async function arrivalAt(server: Server): Promise<Socket> {
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  return socket;
}
