import { VmferryError } from '@vmferry/errors';
import { processesOf } from '@vmferry/lab';
import { expect } from 'vitest';
import { eventually } from '../world/eventually.js';
import type { Run } from '../world/run.js';
import type { World } from '../world/world.js';
import { expectAudited } from './audit.js';
import { expectLabelled, expectNoStrayDescriptors, expectNoStrayFiles, noteDescriptors } from './leftovers.js';
import { expectOneLife } from './life.js';
import { type Told, untilSettled } from './resources.js';

/** Where the guest may be at the end. `lost`: its only QEMU was killed by the environment. */
export type Whereabouts = 'source' | 'destination' | 'either' | 'lost';

export interface Settled {
  readonly guestOn: 'source' | 'destination' | 'nowhere';
  readonly source: Told;
  readonly destination: Told;
}

/**
 * How long other things than a guest may take to be tidied. An agent that was started again asks its QEMU what it can, on a monitor of that QEMU's
 * own, and gives it 20 s on a busy machine.
 */
const tidyMs = 25_000;

/**
 * The one check of every case: within 60 s the migration is over on both sides, exactly one copy of the guest runs, its life is unbroken, both
 * sides tell the same, and nothing is left behind. The world then knows where the guest is.
 */
export async function expectSettled(world: World, run: Run, expected: Whereabouts = 'either'): Promise<Settled> {
  await run.driven;
  const source = await untilSettled(run.from.sourceClient(), run.id);
  const destination = await untilSettled(run.to.destinationClient(), run.id);
  const guestOn = await eventually(() => whereItRuns(world, run));
  if (expected !== 'either') expect(guestOn, 'where the guest runs').toBe(expected === 'lost' ? 'nowhere' : expected);
  world.here = guestOn === 'destination' ? run.to : run.from;
  if (guestOn !== 'nowhere') {
    await world.moreTicks();
    expectOneLife(world);
  }
  expectToldRight(guestOn, source, destination);
  await expectTidy(world, guestOn !== 'nowhere');
  return { guestOn, source, destination };
}

/** I5, I6, I7: what is there is meant to be there. */
export async function expectTidy(world: World, guestRuns: boolean): Promise<void> {
  const living = processesOf(world.uuid);
  await eventually(async () => {
    for (const host of world.hosts) {
      const guestIsHere = guestRuns && host === world.here;
      await expectNoStrayFiles(host, guestIsHere);
      expectNoStrayDescriptors(world, host, guestIsHere);
    }
    await expectAudited(world, living);
  }, tidyMs);
  if (guestRuns) await expectLabelled(world);
  noteDescriptors(world, guestRuns);
}

/** I5: one QEMU of the guest there is, or none; the agents agree on where it is. */
async function whereItRuns(world: World, run: Run): Promise<Settled['guestOn']> {
  const processes = processesOf(world.uuid);
  const [atSource, atDestination] = await Promise.all([run.from, run.to].map((host) => guestAt(world, host.sourceClient())));
  const running = [atSource, atDestination].filter((pid) => pid != null);
  expect(processes, 'I5: QEMUs of the guest').toEqual(running);
  if (running.length === 0) return 'nowhere';
  return atSource != null ? 'source' : 'destination';
}

/** The process of the guest when the source-agent says that it runs; null when the host has it not, or shut off. */
async function guestAt(world: World, agent: ReturnType<World['here']['sourceClient']>): Promise<number | null> {
  try {
    const { state, pid, migrationId, job } = await agent.domain(world.uuid);
    expect([migrationId, job], 'the migration has let go of the domain').toEqual([null, null]);
    if (pid !== null) expect(state, 'the state of an active guest').toBe('running');
    return pid;
  } catch (thrown) {
    if (VmferryError.is(thrown, 'domain-not-found')) return null;
    throw thrown;
  }
}

/** Both sides tell of the same outcome, and it is the one that came to be. */
function expectToldRight(guestOn: Settled['guestOn'], source: Told, destination: Told): void {
  const sourceSays = guestOn === 'destination' ? ['SUCCEEDED'] : ['FAILED', 'CANCELLED'];
  if (source !== null) {
    expect(sourceSays, 'what the source says').toContain(source.state);
    if (guestOn !== 'nowhere') expect(source.guest.runningOn, 'where the source says that it runs').toBe(guestOn);
    if (guestOn === 'destination') expect(source.error, 'a success has no error').toBeNull();
    else expect(source.error, 'a failure has its error').not.toBeNull();
  }
  if (destination !== null) {
    expect(destination.outcome, 'the record').toBe(guestOn === 'destination' ? 'committed' : 'aborted');
    expect(destination.state).toBe(guestOn === 'destination' ? 'SUCCEEDED' : 'FAILED');
  } else expect(guestOn, 'a guest came to a host that knows of no migration').not.toBe('destination');
}
