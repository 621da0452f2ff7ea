import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { VmferryError } from '@vmferry/errors';
import { takeHandle } from '@vmferry/posix';
import { certificateOf } from './certificates.js';
import type { Log } from './log.js';
import { isAccepted, writeRawProblem } from './raw-response.js';
import { requestIdOf } from './request-input.js';
import type { UpgradeRoute } from './route.js';
import { errorOf } from './thrown.js';

export interface UpgradeSetting {
  readonly upgrades: readonly UpgradeRoute[];
  readonly log: Log;
  readonly freshRequestId: () => string;
  isDraining(): boolean;
}

/** The listener of the server's `upgrade` event: finds the route, and turns whatever its handler throws into the answer. */
export function upgradeListener(setting: UpgradeSetting): (request: IncomingMessage, socket: Duplex, head: Buffer) => void {
  return (request, duplex, head) => {
    // An http.Server has net.Sockets; its events only promise a Duplex.
    const socket = duplex as Socket;
    if (socket.destroyed) return;
    takeHandle(socket);
    const requestId = requestIdOf(request.headers['x-request-id'], setting.freshRequestId);
    const log = setting.log.child({ requestId });
    // A reset between the answer and the hand-over must not end the process; whoever takes the socket learns of it there.
    socket.on('error', (error) => log.info('an upgraded socket failed', { error }));
    serve(setting, { request, socket, head, requestId, log }).catch((thrown: unknown) => {
      const facts = { path: pathOf(request), error: thrown };
      if (isAccepted(socket)) {
        log.error('an accepted upgrade failed', facts);
        socket.destroy();
      } else {
        log.warn('upgrade refused', facts);
        writeRawProblem(socket, errorOf(thrown), { requestId });
      }
    });
  };
}

type Arrival = { request: IncomingMessage; socket: Socket; head: Buffer; requestId: string; log: Log };

async function serve(setting: UpgradeSetting, arrival: Arrival): Promise<void> {
  if (setting.isDraining()) throw new VmferryError('draining', 'The service is shutting down and takes no new stream.');
  const certificate = certificateOf(arrival.socket);
  const path = pathOf(arrival.request);
  for (const route of setting.upgrades) {
    const params = matchPath(route.path, path);
    if (params === null) continue;
    if (arrival.request.headers.upgrade?.toLowerCase() !== route.protocol) {
      throw new VmferryError('malformed-request', `${path} is upgraded with "Upgrade: ${route.protocol}" only.`);
    }
    return route.handler({ ...arrival, params, certificate });
  }
  throw new VmferryError('not-found', `There is nothing to upgrade at ${path}.`);
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0]?.slice(0, 512) ?? '';
}

/** The parameters of `path` under an express pattern of plain and `:name` segments, or null. */
function matchPath(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [index, segment] of wanted.entries()) {
    const text = given[index] ?? '';
    if (segment.startsWith(':') && text !== '') params[segment.slice(1)] = text;
    else if (segment !== text) return null;
  }
  return params;
}
