import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { flagsOf, type Mode, type Run } from './run.js';
import type { World } from './world.js';

/** A managed migration whose client is a process of its own, so that the client can be killed like anybody else. */
export interface ManagedProcess {
  readonly run: Run;
  readonly pid: number;
  /** What it has said on its standard error. */
  readonly errors: () => string;
}

const main = fileURLToPath(new URL('../../dist/world/managed-client.js', import.meta.url));

export function driveFromProcess(world: World, mode: Mode, fault: string): ManagedProcess {
  const [from, to, id] = [world.here, world.there, randomUUID()];
  const request = { source: from.source.url, destination: to.destination.url, id, domain: world.name, flags: flagsOf({ mode }) };
  const child = spawn(process.execPath, [main, JSON.stringify(request)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, VMFERRY_FAULT: fault },
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const driven = once(child, 'exit').then(() => null);
  const run = { id, mode, from, to, driven, cancel: () => from.sourceClient().cancelMigration(id) };
  return { run, pid: child.pid ?? 0, errors: () => errors };
}
