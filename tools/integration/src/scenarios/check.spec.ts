import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MigrationCheck } from '@vmferry/api';
import { bootSectorGuest, domainXmlOf } from '@vmferry/guest-image';
import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { ask, expectProblem } from '../steps/ask.js';
import { expectUntouched } from '../steps/untouched.js';
import { migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

/** Large enough for QEMU to measure its dirty rate. */
const inWorld = sharedWorld({ linuxFilledMib: 64 });

async function check(world: World, change: Record<string, unknown> = {}): Promise<MigrationCheck> {
  const { name, here, there } = world;
  let told: MigrationCheck | undefined;
  await expectUntouched(world, async () => {
    const body = { domain: name, destination: there.destination.url, flags: ['LIVE'], ...change };
    const answer = await ask(here.source.url, '/v1/migrations/check', { body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    told = answer.body as unknown as MigrationCheck; // The client of the project checks the same answer below.
  });
  if (told === undefined) throw new Error('there was no answer');
  return told;
}

const blockersOf = ({ blockers }: MigrationCheck) => blockers.map(({ side, code }) => `${side} ${code}`);

/** Another domain that is active on the other host. */
async function withRival(world: World, who: { name: string; uuid: string }, act: () => Promise<void>): Promise<void> {
  const diskPath = await (await bootSectorGuest({ writable: false })).copyFor(join(world.folder, 'g'));
  const withSerial = domainXmlOf({ ...who, diskPath, readonly: true, serial: { type: 'file', path: '/nowhere' } });
  const xml = withSerial.replace(/<serial.*<\/serial>/, '');
  const rival = world.there.sourceClient();
  await rival.createDomain({ xml, transient: true, paused: true });
  try {
    await act();
  } finally {
    await rival.destroy(who.uuid);
    await rm(diskPath);
  }
}

describe('a check of a migration', () => {
  it('finds nothing in the way and forecasts from what was measured; the migration then goes as it says', () =>
    inWorld(async (world) => {
      const told = await check(world, { bandwidthMibPerSec: 64, flags: ['LIVE', 'TUNNELLED'] });
      expect(told).toMatchObject({ ok: true, blockers: [], warnings: [{ code: 'emulated', side: 'source' }] });
      const { forecast } = told;
      expect(forecast).toMatchObject({ converges: true, reason: null });
      expect(forecast.basis.memoryBytes).toBe((80 + 64) * 1_048_576);
      expect(forecast.basis.dirtyRateBytesPerSec).toBeLessThan(64 * 1_048_576);
      // Nothing was found out about this way yet, or it is faster than what was asked for.
      expect(forecast.basis.bandwidthBytesPerSec).toBeLessThanOrEqual(64 * 1_048_576);
      expect(forecast.durationMs).toBeGreaterThanOrEqual(2_250);
      await expectSettled(world, migrate(world, { mode: 'p2p-tunnelled', bandwidthMibPerSec: 64 }), 'destination');
      const { from, to } = { from: world.there, to: world.here };
      const again = await check(world, { destination: from.destination.url, flags: ['LIVE', 'TUNNELLED'] });
      expect(again.ok, `${from.name} can have it back from ${to.name}`).toBe(true);
    }));

  it('knows the rate of the last migration on the same way', () =>
    inWorld(async (world) => {
      const { here, there } = world;
      const { forecast } = await here.sourceClient().checkMigration({
        domain: world.name,
        destination: there.destination.url,
        flags: ['LIVE'],
      });
      const known = (await here.sourceClient().migrations({ state: 'SUCCEEDED' })).migrations.filter(
        ({ mode, destination }) => mode.transport === 'direct' && destination.agent === there.destination.url,
      );
      expect(known.map(({ progress }) => progress?.throughputBytesPerSec)).toContain(forecast.basis.bandwidthBytesPerSec);
    }));

  it('tells all that is in the way, at both hosts', () =>
    inWorld(async (world) => {
      const { name, uuid, diskPath } = world;
      const other = { name, uuid, memoryKib: 8_192, serial: { type: 'unix-connect', path: '/nowhere/serial' } } as const;
      const xml = domainXmlOf({ ...other, diskPath: '/nowhere/disk.img' });
      await withRival(world, { name: 'rival', uuid: randomUUID() }, async () => {
        const told = await check(world, { xml, flags: ['LIVE', 'FASTER'], destinationName: 'rival' });
        expect(blockersOf(told)).toEqual([
          'source flag-unknown',
          'source abi-mismatch',
          'destination flag-unknown',
          'destination domain-exists',
        ]);
        expect(told.ok).toBe(false);
        expect(told.blockers[0]).toMatchObject({ path: '/flags/1' });
      });
      await rename(diskPath, `${diskPath}.away`);
      try {
        const told = await check(world);
        expect(told.blockers).toMatchObject([{ code: 'label-failed', side: 'destination', path: diskPath }]);
      } finally {
        await rename(`${diskPath}.away`, diskPath);
      }
    }));

  it.each<[string, (world: World) => Record<string, unknown>, string[], string[]]>([
    [
      'a destination that does not answer',
      () => ({ destination: 'http://127.0.0.1:1' }),
      ['source peer-unreachable'],
      ['emulated'],
    ],
    ['the same host', ({ here }) => ({ destination: here.destination.url }), ['source same-host'], ['emulated']],
    ['a guest that would stand still', () => ({ flags: [], bandwidthMibPerSec: 1 }), [], ['not-live']],
    [
      'a time that is too short',
      () => ({ bandwidthMibPerSec: 8, timeouts: { totalSeconds: 1 } }),
      [],
      ['timeout-too-short', 'emulated'],
    ],
  ])('%s', (_what, change, blockers, warnings) =>
    inWorld(async (world) => {
      const told = await check(world, change(world));
      expect(blockersOf(told)).toEqual(blockers);
      expect(told.warnings.map(({ code }) => code)).toEqual(warnings);
      expect(told.ok).toBe(blockers.length === 0);
    }),
  );

  it('a paused guest dirties nothing', () =>
    inWorld(async (world) => {
      const { here, there, name } = world;
      await here.sourceClient().suspend(name);
      const request = { domain: name, destination: there.destination.url, bandwidthMibPerSec: 8 };
      const told = await here.sourceClient().checkMigration(request);
      await here.sourceClient().resume(name);
      expect(told).toMatchObject({ ok: true, warnings: [], forecast: { downtimeMs: 0, basis: { dirtyRateBytesPerSec: 0 } } });
    }));

  it('is refused for a domain that is not there, and no migration can have its name', () =>
    inWorld(async (world) => {
      const body = { domain: 'nobody', destination: world.there.destination.url };
      const url = world.here.source.url;
      await expectUntouched(world, async () => {
        expectProblem(await ask(url, '/v1/migrations/check', { body }), 404, 'domain-not-found');
        expectProblem(await ask(url, '/v1/migrations', { body: { ...body, id: 'check' } }), 422, 'invalid-argument');
      });
    }));
});
