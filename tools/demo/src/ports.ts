import { once } from 'node:events';
import { createServer } from 'node:net';
import { VmferryError } from '@vmferry/errors';

/** The apps of a host listen on the three ports after its base. */
const appPorts = [1, 2, 3];
const stride = 20;
const triesMax = 100;

/** The first pair of free bases: 7800 and 7810, else 7820 and 7830, and so on. Throws 'internal' when none of 100 pairs is free. */
export async function freePortBases(): Promise<readonly [number, number]> {
  for (let tries = 0; tries < triesMax; tries += 1) {
    const bases = [7_800 + tries * stride, 7_810 + tries * stride] as const;
    if ((await takenPorts(bases)).length === 0) return bases;
  }
  throw new VmferryError('internal', `No free ports for two hosts from 7800 to ${7_800 + triesMax * stride} on 127.0.0.1.`);
}

/** Those ports of the hosts with these bases that something listens on. */
export async function takenPorts(bases: readonly number[]): Promise<number[]> {
  const taken: number[] = [];
  for (const port of bases.flatMap((base) => appPorts.map((offset) => base + offset))) {
    if (!(await isFree(port))) taken.push(port);
  }
  return taken;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
