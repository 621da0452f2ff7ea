import { writeSync } from 'node:fs';
import { errnoName, poll, pollBits, receiveFd, replaceFd, systemCallFailure, takeSocketError } from '@vmferry/posix';
import type { SharedCounters } from './counters.js';
import type { PumpJob } from './data-path.js';
import { readyEnd } from './pump-descriptors.js';
import type { Side, WorkerEnd } from './pump-end.js';

/** What the agent reads when the peer is there and its end is wanted; the descriptor comes back with a byte of its own. */
const call = new Uint8Array([1]);

/**
 * Calls for the local end of a stream whose `control` is a connection to the agent, waits for it, and puts it in the place of `local`. Called only
 * now that the peer is there: a QEMU that is connected waits for the first bytes of each channel and does nothing else meanwhile.
 * Blocks its thread in `poll`. Null when the end is there; else how the pump has ended.
 */
export function takeLocalEnd({ control, local, remote, wake }: PumpJob, counters: SharedCounters): WorkerEnd | null {
  if (control === null) return null;
  try {
    writeSync(control, call);
    while (!counters.abortWanted) {
      const received = receiveFd(control);
      if (received !== 'again') {
        replaceFd(local, received);
        readyEnd(local);
        return null;
      }
      const [, remoteBits = 0] = poll(
        [
          { fd: control, events: pollBits.readable },
          { fd: remote, events: 0 },
          { fd: wake, events: pollBits.readable },
        ],
        -1,
      );
      if (remoteBits !== 0) return broken('remote', errnoOf(remote));
    }
    return { t: 'aborted' };
  } catch (thrown) {
    // The agent is gone, or what it gave is no socket.
    return broken('local', systemCallFailure(thrown) ?? { errno: 0, name: 'NO-DESCRIPTOR' });
  }
}

function errnoOf(socket: number): { readonly errno: number; readonly name: string } {
  const errno = takeSocketError(socket);
  return errno === 0 ? { errno, name: 'HUNG-UP' } : { errno, name: errnoName(errno) };
}

function broken(side: Side, { errno, name }: { readonly errno: number; readonly name: string }): WorkerEnd {
  return { t: 'failed', side, direction: 'to-local', errno, name };
}
