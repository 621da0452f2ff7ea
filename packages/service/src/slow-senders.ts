import type http from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * Keeps connections that owe a request, or the rest of one, from using up those that a server takes: of more than `max` of them the
 * one that has owed for longest is closed. A request that is being answered, a stream of events and an upgraded connection owe nothing.
 * Over TLS a connection counts once it has shaken hands, for which the server has a time of its own.
 */
export function boundSlowSenders(server: http.Server, max: number, arrival: 'connection' | 'secureConnection'): void {
  /** Who owes, the longest first, with the request whose head has come; one that is complete by now owes nothing. */
  const owing = new Map<Duplex, IncomingMessage | null>();
  const owes = (socket: Duplex) => {
    owing.delete(socket);
    owing.set(socket, null);
  };
  server.on(arrival, (socket: Duplex) => {
    if (owing.size >= max) closeLongest(owing);
    owes(socket);
    socket.once('close', () => owing.delete(socket));
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    // In its place: the rest of the body is owed since the connection was made or its last answer was sent.
    if (owing.has(socket)) owing.set(socket, request);
    response.once('close', () => {
      if (!socket.destroyed) owes(socket);
    });
  });
  server.on('upgrade', (_request, socket) => owing.delete(socket));
}

function closeLongest(owing: Map<Duplex, IncomingMessage | null>): void {
  for (const [socket, request] of owing) {
    owing.delete(socket);
    if (request?.complete === true) continue;
    socket.destroy();
    return;
  }
}
