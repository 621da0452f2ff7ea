import { execFileSync } from 'node:child_process';
import { rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { AuditFile, Auditor } from '@vmferry/audit';
import { type AppProcess, type Host, processesOf } from '@vmferry/lab';
import { systemClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { expectSettled, expectTidy } from '../checks/expect-settled.js';
import { untilSettled } from '../checks/resources.js';
import { eventually } from '../world/eventually.js';
import { migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { expectSecond } from './scenario.js';

const inWorld = sharedWorld();
const unwritable = { code: 'state-unwritable' };
/** More than any other file that an agent writes here, so that the audit file alone cannot grow. */
const auditBytesMin = 40_000;

const filesUpTo = (app: AppProcess, bytes: number | 'unlimited') =>
  execFileSync('prlimit', ['--pid', String(app.pid), `--fsize=${bytes}:unlimited`]);

/** An agent that cannot audit, as on a full disk, until `mend`. Its log goes nowhere: that would be the first file that cannot grow. */
async function withoutAudit(host: Host, app: AppProcess): Promise<{ mend: () => void; logAgain: () => Promise<void> }> {
  await app.kill();
  await rm(app.logPath);
  await symlink('/dev/null', app.logPath);
  const audit = join(host.stateDir, `${app.name}.audit`);
  await fill(audit);
  await app.start();
  filesUpTo(app, (await stat(audit)).size);
  const logAgain = async () => {
    await app.stop();
    await rm(app.logPath);
    await app.start();
  };
  return { mend: () => filesUpTo(app, 'unlimited'), logAgain };
}

/** As after many requests. */
async function fill(audit: string): Promise<void> {
  const auditor = new Auditor(await AuditFile.open(audit, systemClock.wall()), systemClock);
  const request = { principal: 'filler', requestId: 'r', method: 'POST', path: '/', outcome: 'ok', success: true };
  while ((await stat(audit)).size < auditBytesMin) await auditor.api(request);
  await auditor.close();
}

async function untilShutOff(world: World, reason: string): Promise<void> {
  await eventually(async () => {
    const told = await world.here.sourceClient().domain(world.uuid);
    expect(told).toMatchObject({ state: 'shutoff', reason, pid: null, warning: null });
  });
}

/** The guest runs again, and every start and stop was audited once. */
async function expectWhole(world: World): Promise<void> {
  await world.boot();
  await expectTidy(world, true);
  await expectSecond(world, 'p2p-direct', false);
  await expectSettled(world, migrate(world, { mode: 'p2p-direct' }), 'destination');
}

describe('while nothing can be audited', () => {
  it('I7: a guest that crashes is told as ended, and let go of as soon as its end can be recorded', () =>
    inWorld(async (world) => {
      const agent = world.a.sourceClient();
      const { mend, logAgain } = await withoutAudit(world.a, world.a.source);
      process.kill(await world.qemuOn(world.a), 'SIGKILL');
      await eventually(async () => {
        const warning = expect.stringContaining('could not be recorded yet');
        expect(await agent.domain(world.uuid)).toMatchObject({ state: 'shutoff', reason: 'crashed', pid: null, warning });
      });
      await expect(agent.start(world.uuid)).rejects.toMatchObject(unwritable);
      mend();
      await untilShutOff(world, 'crashed');
      await logAgain();
      await expectWhole(world);
    }));

  it('I7: so is one that is destroyed', () =>
    inWorld(async (world) => {
      const { mend, logAgain } = await withoutAudit(world.a, world.a.source);
      await expect(world.a.sourceClient().destroy(world.uuid)).rejects.toMatchObject(unwritable);
      expect(processesOf(world.uuid)).toEqual([]);
      mend();
      await untilShutOff(world, 'destroyed');
      await logAgain();
      await expectWhole(world);
    }));

  it.each(['persistent', 'transient'])('I7: a %s domain that cannot be audited as started does not run', (kind) =>
    inWorld(async (world) => {
      const agent = world.a.sourceClient();
      await agent.destroy(world.uuid);
      if (kind === 'transient') await agent.undefineDomain(world.uuid);
      const { mend, logAgain } = await withoutAudit(world.a, world.a.source);
      const start = () =>
        kind === 'persistent' ? agent.start(world.uuid) : agent.createDomain({ xml: world.xml, transient: true });
      await expect(start()).rejects.toMatchObject(unwritable);
      expect(processesOf(world.uuid)).toEqual([]);
      mend();
      if (kind === 'persistent') await untilShutOff(world, 'failed');
      else {
        await expect(agent.domain(world.uuid)).rejects.toMatchObject({ code: 'domain-not-found' });
        await agent.createDomain({ xml: world.xml });
      }
      await logAgain();
      await expectWhole(world);
    }),
  );

  it('I7: a Prepare that cannot be audited leaves no QEMU and no open record', () =>
    inWorld(async (world) => {
      const { mend, logAgain } = await withoutAudit(world.b, world.b.destination);
      const run = migrate(world, { mode: 'p2p-direct' });
      await run.driven;
      const told = await untilSettled(run.from.sourceClient(), run.id);
      expect(told).toMatchObject({ state: 'FAILED', error: { code: 'state-unwritable' } });
      expect(await run.to.destinationClient().migration(run.id)).toMatchObject({ outcome: 'aborted', state: 'FAILED' });
      expect(processesOf(world.uuid)).toEqual([await world.qemuOn(world.a)]);
      mend();
      await logAgain();
      await expectSettled(world, run, 'source');
      await expectSecond(world, 'p2p-direct', false);
    }));
});
