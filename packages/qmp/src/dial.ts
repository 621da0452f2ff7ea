import { connect, type Socket } from 'node:net';
import { VmferryError } from '@vmferry/errors';
import { checkUnixSocketPath } from '@vmferry/posix';
import { type Clock, sleep } from '@vmferry/seams';

export interface DialOptions {
  /** At most 107 bytes. */
  readonly path: string;
  readonly clock: Clock;
  /** The time allowed for all of it, in milliseconds. */
  readonly deadlineMs: number;
  /** Abort it when the process that should create the socket has ended; its reason is what `dial` then throws. */
  readonly signal?: AbortSignal;
  /** Has each socket made, as a security driver may want to give it a label; it is made before this returns. */
  readonly makeSocket?: (make: () => Socket) => Socket;
}

const pauseMsMin = 2;
const pauseMsMax = 4;

/**
 * Connects to a unix socket that QEMU may still have to create: it is there some 40 ms after the spawn. Until then the path is
 * absent (ENOENT), or bound and not yet listening (ECONNREFUSED). Throws `monitor-timeout` when the deadline passes first.
 */
export async function dial({ path, clock, deadlineMs, signal, makeSocket = (make) => make() }: DialOptions): Promise<Socket> {
  checkUnixSocketPath(path);
  const startedMs = clock.monotonicMs();
  for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
    signal?.throwIfAborted();
    const outcome = await connectOnce(() => makeSocket(() => connect(path)));
    if ('socket' in outcome) return outcome.socket;
    if (!mayAppear(outcome.error)) {
      throw new VmferryError('monitor-failed', `The monitor ${path} cannot be reached: ${outcome.error.message}.`, {
        cause: outcome.error,
      });
    }
    if (clock.monotonicMs() - startedMs + pauseMs > deadlineMs) {
      throw new VmferryError(
        'monitor-timeout',
        `No QEMU listens on the monitor ${path} after ${Math.round(deadlineMs)} ms; see its log.`,
        {
          cause: outcome.error,
          data: { path, deadlineMs },
        },
      );
    }
    await sleep(clock, pauseMs, signal);
  }
}

type Outcome = { readonly socket: Socket } | { readonly error: Error };

function connectOnce(makeSocket: () => Socket): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = makeSocket();
    socket.once('error', (error) => resolve({ error }));
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve({ socket });
    });
  });
}

/** EAGAIN: the queue of waiting clients is full, as it is when many wait for one monitor. */
function mayAppear(error: Error): boolean {
  const code = 'code' in error ? error.code : undefined;
  return code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'EAGAIN';
}
