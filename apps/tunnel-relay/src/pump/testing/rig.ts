import { detachSocket } from '@vmferry/posix';
import { onTestFinished } from 'vitest';
import { type PathName, type Pump, startPump } from '../index.js';
import { type Connection, connection, type Family } from './connections.js';
import { tlsSessions } from './tls-sessions.js';

/** A pump on one path, with the peer of each of its ends. The peers go with the test. */
interface Rig {
  readonly pump: Pump;
  readonly local: Connection;
  readonly remote: Connection;
}

type OpenRig = (near: Family, far: Family, more?: Partial<Parameters<typeof startPump>[0]>) => Promise<Rig>;

/** Every path, as the specs hold each to the same contract. */
export const everyPath = ['splice', 'streams', 'tls'] as const satisfies readonly PathName[];

export const rigOn =
  (path: PathName): OpenRig =>
  async (near, far, more) => {
    const [local, remote] = [await connected(near), await connected(far)];
    if (path !== 'tls') return { pump: startPump({ local: local.fd, remote: remote.fd, path, ...more }), local, remote };
    const between = await connection('tcp');
    const { client, server } = sessions();
    const pump = startPump({ local: local.fd, remote: between.fd, tls: server, ...more });
    // What speaks TLS with a pump is a pump, as in the other relay. The peer that the specs see is behind it.
    startPump({ local: remote.fd, remote: detachSocket(between.peer), tls: client });
    return { pump, local, remote };
  };

export async function connected(family: Family): Promise<Connection> {
  const made = await connection(family);
  // Many a test ends a pump with a reset, and looks at that elsewhere.
  made.peer.on('error', () => undefined);
  onTestFinished(() => void made.peer.destroy());
  return made;
}

let made: ReturnType<typeof tlsSessions> | undefined;

/** One pair for all cases of a file: keys take their time. */
export function sessions(): ReturnType<typeof tlsSessions> {
  made ??= tlsSessions('vmferry-spec');
  return made;
}
