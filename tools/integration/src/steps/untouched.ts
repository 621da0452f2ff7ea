import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Host, processesOf } from '@vmferry/lab';
import { expect } from 'vitest';
import { expectOneLife } from '../checks/life.js';
import type { World } from '../world/world.js';

/** Records of who asked what grow on purpose. */
const growing = /\.(audit|log)$/;

/**
 * Does what is to be refused, and proves that nothing has come of it: no file has changed on either host, no process was started or ended, no
 * job or migration is left, and the guest runs on.
 */
export async function expectUntouched(world: World, act: () => Promise<void>): Promise<void> {
  const before = await everything(world);
  await act();
  expect(await everything(world), 'a refused request has changed something').toEqual(before);
  await world.moreTicks(3);
  expectOneLife(world);
}

async function everything(world: World): Promise<unknown> {
  return {
    processes: processesOf(world.uuid),
    hosts: await Promise.all(world.hosts.map((host) => everythingOf(host))),
  };
}

/** What a request that is refused must not change on a host. */
export async function everythingOf(host: Host): Promise<unknown> {
  const [{ domains }, outgoing, incoming] = await Promise.all([
    host.sourceClient().domains(),
    host.sourceClient().migrations({ limit: 500 }),
    host.destinationClient().migrations({ limit: 500 }),
  ]);
  return {
    // How long a job has run changes by itself.
    domains: domains.map(({ job, ...domain }) => ({ ...domain, job: job === null ? null : job.kind })),
    migrations: [...outgoing.migrations, ...incoming.migrations].map(({ id, side, state, phase }) => ({
      id,
      side,
      state,
      phase,
    })),
    state: await digests(host.stateDir),
    runtime: (await readdir(host.runtimeDir, { recursive: true })).sort(),
  };
}

async function digests(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory() || growing.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    found[path] = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
  }
  return found;
}
