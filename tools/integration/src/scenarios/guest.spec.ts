import { isStopped, processesOf } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { auditOf } from '../checks/audit.js';
import { expectSettled, expectTidy } from '../checks/expect-settled.js';
import { expectTold, marksOf, untilState } from '../checks/lifecycle.js';
import { untilSettled, untilStreaming } from '../checks/resources.js';
import { eventually } from '../world/eventually.js';
import { panickingGuest } from '../world/panicking-guest.js';
import { endless, type Mode, mainModes, migrate, type Run } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { onA } from './scenario.js';

const inWorld = sharedWorld();

async function streaming(world: World, mode: Mode): Promise<Run> {
  const run = migrate(world, { mode, ...endless });
  await untilStreaming(run);
  return run;
}

/** Its user suspends the guest while it is sent: that pause is the migration's. */
async function suspendedMeanwhile(world: World, mode: Mode): Promise<Run> {
  const run = await streaming(world, mode);
  const client = run.from.sourceClient();
  expect(await client.suspend(world.uuid)).toMatchObject({ state: 'paused', reason: 'migration' });
  return run;
}

async function untilLoaded({ to, id }: Run): Promise<void> {
  await eventually(async () => {
    const { destination } = await to.destinationClient().migration(id);
    expect(destination.state).toBe('open, QEMU loaded');
  });
}

/** The guest has ended on the source by itself; nothing of it is left anywhere, and no QEMU either. */
async function expectEnded(world: World, run: Run): Promise<void> {
  await run.driven;
  const source = await untilSettled(run.from.sourceClient(), run.id);
  expect(source).toMatchObject({ state: 'FAILED', error: { code: 'migration-failed' } });
  expect(source?.error?.detail).toContain('switched itself off');
  const destination = await untilSettled(run.to.destinationClient(), run.id);
  expect(destination).toMatchObject({ state: 'FAILED', outcome: 'aborted' });
  await eventually(() => expect(processesOf(world.uuid)).toEqual([]));
  await eventually(async () =>
    expect(await run.from.sourceClient().domain(world.uuid)).toMatchObject({ state: 'shutoff', reason: 'shutdown', job: null }),
  );
  await expectTidy(world, false);
}

describe('a guest that is suspended while it is sent', () => {
  it.each(mainModes)('S31: %s: its pause is of the migration: the destination runs it', (mode) =>
    inWorld(async (world) => {
      const run = await suspendedMeanwhile(world, mode);
      await expectSettled(world, run, 'destination');
    }),
  );

  it('S31: and so does the rollback', () =>
    inWorld(async (world) => {
      const run = await suspendedMeanwhile(world, 'p2p-tunnelled');
      await run.cancel();
      await expectSettled(world, run, 'source');
    }));
});

describe('a guest that switches itself off', () => {
  it.each(mainModes)('I11: %s: while it is sent: the migration fails, and the guest is shut off here', (mode) =>
    inWorld(async (world) => {
      await onA(world);
      const run = await streaming(world, mode);
      world.powerOff();
      await expectEnded(world, run);
      await world.boot();
    }),
  );

  it('I11: so late that its image is complete: it is shut off here, and runs nowhere', () =>
    inWorld(async (world) => {
      await onA(world);
      // The agent that would cancel at once learns of it only when QEMU has completed.
      const { source } = world.here;
      await world.arm(source, 'S10=freeze');
      const run = migrate(world, { mode: 'p2p-tunnelled', ...endless });
      await eventually(() => expect(isStopped(source.pid), 'S10 was met').toBe(true));
      world.powerOff();
      await untilLoaded(run);
      source.signal('SIGCONT');
      await expectEnded(world, run);
      await world.boot();
    }));
});

describe('a guest that ends by itself', () => {
  it.each(['it is told to', 'its power button is pressed'])('A9: switches itself off, because %s', (why) =>
    inWorld(async (world) => {
      await onA(world);
      const marks = await marksOf(world);
      if (why === 'it is told to') world.powerOff();
      else await world.a.sourceClient().shutdown(world.name);
      await untilState(world, world.a, 'shutoff/shutdown');
      await expectTold(world, marks, new Map([[world.a, ['stopped/shutdown']]]));
      await expectTidy(world, false);
      await world.boot();
    }),
  );

  it('A9: panics: it has crashed, its QEMU is ended, and that is told and audited', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const guest = await panickingGuest(world);
      guest.panic();
      await guest.ended;
      await untilState(guest, world.a, 'shutoff/crashed');
      await expectTold(guest, marks, new Map([[world.a, ['started/booted', 'defined/added', 'stopped/crashed']]]));
      expect(await auditOf(guest, world.a, guest.pid)).toEqual(['start booted', 'stop crashed']);
      await world.a.sourceClient().undefineDomain(guest.uuid);
    }));
});

describe('a destination whose QEMU stands still', () => {
  it('S38: a cancel takes effect all the same, because the channel is closed first', () =>
    inWorld(async (world) => {
      const run = await streaming(world, 'p2p-tunnelled');
      const source = await world.qemuOn(run.from);
      const [destination = 0] = processesOf(world.uuid).filter((pid) => pid !== source);
      process.kill(destination, 'SIGSTOP');
      await run.from.sourceClient().setParameters(run.id, { bandwidthMibPerSec: 1_000 });
      await run.cancel();
      const { source: told } = await expectSettled(world, run, 'source');
      expect(told).toMatchObject({ state: 'CANCELLED' });
    }));
});
