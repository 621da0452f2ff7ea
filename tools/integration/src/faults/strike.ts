import { type AppProcess, isStopped } from '@vmferry/lab';
import { sleep, systemClock } from '@vmferry/seams';
import { expect } from 'vitest';
import { expectSettled, type Settled } from '../checks/expect-settled.js';
import { eventually } from '../world/eventually.js';
import { driveFromProcess } from '../world/managed-process.js';
import { isManaged, type Mode, migrate } from '../world/run.js';
import type { World } from '../world/world.js';
import { type Kind, type PointName, pointOf, type Struck, struckAt } from './fault-points.js';

export interface FaultCase {
  readonly mode: Mode;
  readonly point: PointName;
  readonly kind: Kind;
  /** By default the first that can be. */
  readonly struck?: Struck;
}

/** Longer than the TTL of the control sessions: whoever wakes from it finds its session lost. */
const frozenMs = 2_500;
/** A fault that has not struck by then never will. */
const strikeMs = 20_000;

export function titleOf({ mode, point, kind, struck }: FaultCase): string {
  const who = struck === undefined ? '' : ` (${struck})`;
  return `${mode}: ${point} ${pointOf(point).what}: ${kind}${who}`;
}

/**
 * One migration with one fault in it, and then a second one without: both end as they have to, and leave nothing behind. What was killed is
 * started again at once, as by a supervisor. A fault that does not strike fails the case.
 */
export async function strike(world: World, fault: FaultCase): Promise<Settled> {
  const { mode, point, kind } = fault;
  const struck = fault.struck ?? struckAt(point, mode)[0];
  const plan = `${point}=${kind === 'delay' ? 'delay:300' : kind}`;
  const settled =
    struck === 'client' ? await strikeClient(world, fault, plan) : await strikeApp(world, fault, appOf(world, struck), plan);
  if (settled.guestOn === 'nowhere') await world.boot();
  await expectSettled(world, migrate(world, { mode }), 'destination');
  return settled;
}

async function strikeApp(world: World, { mode, point, kind }: FaultCase, app: AppProcess, plan: string): Promise<Settled> {
  await world.arm(app, plan);
  const run = migrate(world, { mode });
  await eventually(() => expect(app.lastLife(), `${point} was met`).toContain(`fault point ${point}: ${kind}`), strikeMs);
  if (kind === 'kill') {
    await app.exited;
    await app.start();
  }
  if (kind === 'freeze') await thaw(app.pid);
  return expectSettled(world, run, kind === 'kill' ? pointOf(point).killed : 'either');
}

/** The client that drives a managed migration has a process of its own for this. */
async function strikeClient(world: World, { mode, point, kind }: FaultCase, plan: string): Promise<Settled> {
  if (!isManaged(mode)) throw new Error(`${mode} has no client that drives it`);
  const client = driveFromProcess(world, mode, plan);
  await eventually(() => expect(client.errors(), `${point} was met`).toContain(`fault point ${point}: ${kind}`), strikeMs);
  if (kind === 'freeze') await thaw(client.pid);
  return expectSettled(world, client.run, kind === 'kill' ? pointOf(point).killed : 'either');
}

async function thaw(pid: number): Promise<void> {
  await eventually(() => expect(isStopped(pid), 'the process is stopped').toBe(true));
  await sleep(systemClock, frozenMs);
  process.kill(pid, 'SIGCONT');
}

function appOf(world: World, struck: Exclude<Struck, 'client'> | undefined): AppProcess {
  const { here, there } = world;
  switch (struck) {
    case 'source-agent':
      return here.source;
    case 'destination-agent':
      return there.destination;
    case 'source-relay':
      return here.relay;
    case 'destination-relay':
      return there.relay;
    case undefined:
      throw new Error('there is nobody to strike');
  }
}
