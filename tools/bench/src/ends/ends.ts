import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/**
 * A process that stands for the QEMUs of one side: it connects as often as it is told, and then sends or receives on all connections
 * at once. It writes as much at a time as QEMU's source does (a page and its header 32 times), and reads as much as its destination.
 */
export type EndsOrder =
  | { readonly t: 'connect'; readonly addresses: readonly Address[]; readonly role: 'send' | 'receive' }
  /** For the sender: so many bytes on each connection, and then its end. */
  | { readonly t: 'send'; readonly bytesEach: number };

export type Address = { readonly path: string } | { readonly port: number };

/** `done`: every connection has come to its end; `bytes` is what all of them have received. */
export type EndsAnswer = { readonly t: 'connected' } | { readonly t: 'done'; readonly bytes: number };

const writeBytes = 32 * (4_096 + 8);
const readBytes = 32_768;

const block = Buffer.alloc(writeBytes, 'vmferry');
let sockets: Socket[] = [];
let received = 0;

const answer = (message: EndsAnswer) => process.send?.(message);

process.on('message', (order: EndsOrder) => {
  void (order.t === 'connect' ? connectAll(order) : sendOnAll(order.bytesEach));
});

async function connectAll({ addresses, role }: Extract<EndsOrder, { t: 'connect' }>): Promise<void> {
  received = 0;
  sockets = addresses.map((address) => opened(address));
  for (const socket of sockets) if (socket.connecting) await once(socket, 'connect');
  answer({ t: 'connected' });
  if (role === 'send') return;
  await Promise.all(sockets.map((socket) => once(socket, 'close')));
  answer({ t: 'done', bytes: received });
}

function opened(address: Address): Socket {
  const callback = (count: number) => {
    received += count;
    return true;
  };
  // One buffer for each connection, read over and over: what is measured is the relay, not the allocator of this process.
  return connect({ ...address, host: '127.0.0.1', onread: { buffer: Buffer.alloc(readBytes), callback } });
}

async function sendOnAll(bytesEach: number): Promise<void> {
  const closed = sockets.map((socket) => once(socket, 'close'));
  for (const socket of sockets) sendOn(socket, bytesEach);
  await Promise.all(closed);
  answer({ t: 'done', bytes: 0 });
}

function sendOn(socket: Socket, left: number): void {
  if (left <= 0) {
    socket.end();
    return;
  }
  const bytes = Math.min(left, block.length);
  socket.write(bytes === block.length ? block : block.subarray(0, bytes), (error) => {
    if (error === undefined || error === null) sendOn(socket, left - bytes);
  });
}
