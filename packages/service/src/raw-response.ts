import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { toProblem, type VmferryError } from '@vmferry/errors';
import { retryAfterSeconds } from './answer.js';

/** Writes a problem on a socket that has no response object (an upgrade, a request that could not be read) and closes it. */
export function writeRawProblem(
  socket: Duplex,
  error: VmferryError,
  options: { requestId?: string; status?: number } = {},
): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const problem = { ...toProblem(error, options.requestId), status: options.status ?? error.row.status };
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? 'Error'}`,
    'connection: close',
    'content-type: application/problem+json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    ...(problem.status === 429 || problem.status === 503 ? [`retry-after: ${retryAfterSeconds}`] : []),
    ...(options.requestId === undefined ? [] : [`x-request-id: ${options.requestId}`]),
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

/** Sockets on which a 101 was written: what follows on them is the stream, never a problem document. */
const accepted = new WeakSet<Duplex>();

export function isAccepted(socket: Duplex): boolean {
  return accepted.has(socket);
}

/** Answers 101 and resolves when the kernel has it, so that the socket's descriptor may then be handed on. */
export function acceptUpgrade(socket: Duplex, protocol: string): Promise<void> {
  const head = `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\n\r\n`;
  accepted.add(socket);
  return new Promise((resolve, reject) => {
    socket.write(head, (error) => (error == null ? resolve() : reject(error)));
  });
}
