import {
  closeFd,
  duplicateFd,
  eventfd,
  limitUnsent,
  pipe2,
  resetOnClose,
  resizePipe,
  sendWithoutDelay,
  setNonBlocking,
  setSendBuffer,
} from '@vmferry/posix';
import type { DirectionName } from './pump-end.js';

/**
 * What the bulk may have in its pipe (threats, row 12: at most 1 MiB), and the send buffer of the socket to the QEMU that reads it. With more a guest
 * that is stopped waits longer for its last bytes; with less the threads wake each other more often. A user who is not root has 64 MiB of pipes.
 */
export const pipeBytesWanted = 512 * 1024;
/**
 * What the connection to the other relay takes before it has sent it. The kernel would take up to 4 MiB, and a guest that is stopped would wait for all of
 * it: measured, with a destination slower than the wire, 21 ms of downtime without this bound and 11 with it.
 */
const unsentBytes = 256 * 1024;
/** Linux makes every pipe as large. */
const returnPipeBytes = 64 * 1024;

interface KernelPipe {
  readonly read: number;
  readonly write: number;
  readonly bytesMax: number;
}

/** Every descriptor of one pump, with one place that closes them all. */
export interface PumpDescriptors {
  readonly local: number;
  readonly remote: number;
  readonly wake: number;
  /** The connection over which the local end is handed over, kept for as long as the pump lives; null when `local` is that end itself. */
  readonly control: number | null;
  readonly toLocal: KernelPipe;
  readonly toRemote: KernelPipe;
  /** `reset`: the peers read ECONNRESET instead of an end (on TCP; see `resetOnClose`). To be called once. */
  close(how: 'clean' | 'reset'): void;
}

/**
 * Prepares the two connections and makes the pipes. From here on the connections break with a reset whatever happens, also when
 * this process is killed: only `close('clean')` gives them a clean end. Throws with everything closed.
 */
export function openPumpDescriptors(
  local: number,
  remote: number,
  { bulk, pipeBytes, handsOver }: { readonly bulk: DirectionName; readonly pipeBytes: number; readonly handsOver: boolean },
): PumpDescriptors {
  const owned = [local, remote];
  const own = (fd: number) => {
    owned.push(fd);
    return fd;
  };
  const ownPipe = (of: DirectionName): KernelPipe => {
    const pipe = pipe2();
    const bytes = of === bulk ? pipeBytes : returnPipeBytes;
    return { read: own(pipe.read), write: own(pipe.write), bytesMax: resizePipe(pipe.write, bytes) };
  };
  try {
    for (const socket of [local, remote]) readyEnd(socket);
    if (bulk === 'to-local') setSendBuffer(local, pipeBytes);
    else limitUnsent(remote, unsentBytes);
    const control = handsOver ? own(duplicateFd(local)) : null;
    const close = (how: 'clean' | 'reset') => {
      if (how === 'clean') for (const socket of [local, remote]) resetOnClose(socket, false);
      owned.forEach(closeFd);
    };
    const [toLocal, toRemote] = [ownPipe('to-local'), ownPipe('to-remote')];
    return { local, remote, control, wake: own(eventfd()), toLocal, toRemote, close };
  } catch (thrown) {
    owned.forEach(closeFd);
    throw thrown;
  }
}

/** Readies one end to be pumped; throws for what is no socket. */
export function readyEnd(socket: number): void {
  resetOnClose(socket, true);
  setNonBlocking(socket, true);
  // The last bytes of a migration are small and the guest stands still while they travel.
  sendWithoutDelay(socket);
}
