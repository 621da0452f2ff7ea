import type { Socket } from 'node:net';
import { VmferryError } from '@vmferry/errors';
import type { DialOptions } from './dial.js';
import type { LineReader } from './line-reader.js';
import { type Greeting, readMessage } from './message.js';

/**
 * Waits for QEMU's greeting; the socket is paused when it resolves, so that nothing is lost before someone else reads on. A QEMU
 * accepts the connection of a second client and greets it only when the first one has gone (qemu-behaviour, K): without a
 * deadline a hung agent would hang its successor.
 */
export function greet(socket: Socket, reader: LineReader, { path, clock, deadlineMs, signal }: DialOptions): Promise<Greeting> {
  return new Promise((resolve, reject) => {
    const finish = (act: () => void) => {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      socket.off('data', onData).off('end', onEnd).off('error', onEnd);
      socket.pause();
      act();
    };
    const onData = (chunk: Buffer) => {
      try {
        reader.push(chunk);
        const line = reader.next();
        if (line === null) return;
        const message = readMessage(line, clock.monotonicMs());
        if (message.t !== 'greeting')
          throw new VmferryError('monitor-failed', `What listens on ${path} is no QEMU: it does not greet.`);
        finish(() => resolve(message.greeting));
      } catch (error) {
        finish(() => reject(VmferryError.from(error, 'monitor-failed')));
      }
    };
    const onEnd = () =>
      finish(() => reject(new VmferryError('guest-gone', `QEMU closed the monitor ${path} before its greeting.`)));
    const onAbort = () => finish(() => reject(signal?.reason as Error));
    const timer = clock.after(deadlineMs, () => {
      const detail = `QEMU let us connect to ${path} and sent no greeting: another client holds this monitor, or QEMU hangs.`;
      finish(() => reject(new VmferryError('monitor-timeout', detail, { data: { path, deadlineMs } })));
    });
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
    socket.on('data', onData).on('end', onEnd).on('error', onEnd);
  });
}
