import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { detachSocket } from '@vmferry/posix';
import { prepareWorkers, startPump } from '@vmferry/tunnel-relay/pump';
import type { Address } from '../ends/ends.js';

/** A process with the relay's pump in it and nothing else: it pumps one stream at a time, through pipes of the size it is told. */
export interface PumpOrder {
  readonly pipeBytes: number;
  readonly bulk: 'to-local' | 'to-remote';
  /** Where the local end is to connect to: a short path that does not exist. */
  readonly localPath: string;
}

export type PumpAnswer =
  | { readonly t: 'listening'; readonly local: Address; readonly remote: Address }
  | { readonly t: 'ended'; readonly how: string; readonly spliceCalls: number; readonly stalls: number };

const answer = (message: PumpAnswer) => process.send?.(message);

prepareWorkers(1);
process.on('message', (order: PumpOrder) => {
  void pumpOnce(order);
});

async function pumpOnce({ pipeBytes, bulk, localPath }: PumpOrder): Promise<void> {
  const [local, remote] = [createServer({ pauseOnConnect: true }), createServer({ pauseOnConnect: true })];
  local.listen(localPath);
  remote.listen(0, '127.0.0.1');
  await Promise.all([once(local, 'listening'), once(remote, 'listening')]);
  const address = remote.address();
  if (address === null || typeof address === 'string') throw new Error('The remote end listens nowhere.');
  const arriving = Promise.all([arrivalAt(local), arrivalAt(remote)]);
  answer({ t: 'listening', local: { path: localPath }, remote: { port: address.port } });
  const [localSocket, remoteSocket] = await arriving;
  const pump = startPump({ local: detachSocket(localSocket), remote: detachSocket(remoteSocket), bulk, pipeBytes });
  const { t: how } = await pump.ended;
  const { spliceCalls, stalls } = pump.counters;
  answer({ t: 'ended', how, spliceCalls, stalls });
}

async function arrivalAt(server: Server): Promise<Socket> {
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  return socket;
}
