import type { DataPath } from '../data-path.js';
import { failureOf, moveBetween } from './move-by-streams.js';
import { plainEnd } from './plain-end.js';
import { tlsEnd } from './tls-end.js';
import { shakeHands } from './tls-handshake.js';

/** The path by TLS towards the other relay; QEMU's end is plain, as on every path. */
export const moveByTls: DataPath = async (job, counters, listener) => {
  if (job.tls === null) throw new Error('a stream was to be moved by TLS and brings no session');
  try {
    const socket = await shakeHands(job.remote, job.tls, listener.signal);
    return await moveBetween({ local: plainEnd(job.local), remote: tlsEnd(socket) }, job, counters, listener);
  } catch (thrown) {
    if (counters.abortWanted) return { t: 'aborted' };
    return failureOf('remote', thrown as NodeJS.ErrnoException); // Whatever a handshake ends with is Node's error of a connection.
  }
};
