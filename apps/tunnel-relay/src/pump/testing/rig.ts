import { onTestFinished } from 'vitest';
import { type PathName, type Pump, startPump } from '../index.js';
import { type Connection, connection, type Family } from './connections.js';

/** A pump on one path, with the peer of each of its ends. The peers go with the test. */
interface Rig {
  readonly pump: Pump;
  readonly local: Connection;
  readonly remote: Connection;
}

type OpenRig = (near: Family, far: Family, more?: Partial<Parameters<typeof startPump>[0]>) => Promise<Rig>;

export const rigOn =
  (path: PathName): OpenRig =>
  async (near, far, more) => {
    const [local, remote] = [await connected(near), await connected(far)];
    return { pump: startPump({ local: local.fd, remote: remote.fd, path, ...more }), local, remote };
  };

export async function connected(family: Family): Promise<Connection> {
  const made = await connection(family);
  onTestFinished(() => void made.peer.destroy());
  return made;
}
