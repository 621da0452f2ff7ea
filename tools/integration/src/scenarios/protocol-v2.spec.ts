import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ManagedMigration } from '@vmferry/client';
import { processesOf } from '@vmferry/lab';
import { systemClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { auditOf } from '../checks/audit.js';
import { expectSettled } from '../checks/expect-settled.js';
import { expectToldOf, marksOf } from '../checks/lifecycle.js';
import { untilSettled, untilSource, untilStreaming } from '../checks/resources.js';
import { type FaultCase, strike, titleOf } from '../faults/strike.js';
import { ask, expectProblem } from '../steps/ask.js';
import { changedCookie } from '../steps/by-hand.js';
import { ByHandV2 } from '../steps/by-hand-v2.js';
import { eventually } from '../world/eventually.js';
import { lockImage } from '../world/image-lock.js';
import { proxyTo } from '../world/proxy.js';
import { endless, type Mode, migrate, modes } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { expectPersistRefused, givenUp, rolledBack } from './failed-finish.js';
import { expectSecond } from './scenario.js';

/*
 * Destinations that offer v2 alone. The drivers are those of every other suite: what the destination offers makes their migrations of v2.
 * A driver that knows nothing else is played by hand.
 */

const inWorld = sharedWorld({ protocols: 'v2' });

describe('a destination that offers v2 alone', () => {
  it.each(modes)('S20, S42: %s: the guest moves, and its source shuts down', (mode) =>
    inWorld(async (world) => {
      const { source, destination } = await expectSettled(world, migrate(world, { mode }), 'destination');
      expect([source?.protocol, destination?.protocol]).toEqual(['v2', 'v2']);
    }),
  );

  it('S31: has no offline migration, by whichever way', () =>
    inWorld(async ({ here, there }) => {
      const uuid = randomUUID();
      const xml = `<domain type='qemu'><name>idle</name><uuid>${uuid}</uuid><memory unit='KiB'>4096</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>`;
      await here.sourceClient().createDomain({ xml });
      const [flags, nonce, domain] = [['OFFLINE', 'PERSIST_DEST'], '0'.repeat(32), uuid];
      const url = there.destination.url;
      const asked: [string, string, object][] = [
        [here.source.url, '/v1/migrations', { domain, destination: url, flags }],
        [here.source.url, '/v1/migrations/m2/perform2', { domain, nonce, cookie: '', flags }],
        [url, '/v1/migrations/m2/prepare2', { nonce, xml, flags }],
      ];
      for (const [base, path, body] of asked) expectProblem(await ask(base, path, { body }), 422, 'peer-protocol');
      const ends = { source: here.sourceClient(), destination: there.destinationClient(), clock: systemClock };
      const managed = new ManagedMigration({ ...ends, request: { id: 'm2', domain, flags } });
      await expect(managed.run()).rejects.toMatchObject({ code: 'peer-protocol' });
      expect(
        [...(await readdir(join(here.stateDir, 'migrations'))), ...(await readdir(join(there.stateDir, 'migrations')))].filter(
          (file) => file.startsWith('m2.'),
        ),
      ).toEqual([]);
      await here.sourceClient().undefineDomain(uuid);
    }));

  it('S21, S22: by hand: no cookie in and none out; paused on the source until it has read the record by itself', () =>
    inWorld(async (world) => {
      const hand = await new ByHandV2(world).performed();
      const client = world.here.sourceClient();
      // The permit goes first; the state follows it.
      const paused = { state: 'paused', reason: 'migration', job: { phase: 'perform3_done' } };
      await eventually(async () => expect(await client.domain(world.uuid)).toMatchObject(paused));
      const finished = await hand.finish({ cookie: null });
      expect([finished.status, finished.body.outcome]).toEqual([200, 'committed']);
      expect((await hand.finish({ cookie: null })).body, 'I9: the same step, the same outcome').toMatchObject({
        outcome: 'committed',
      });
      await expectSettled(world, hand.run, 'destination');
    }));

  it.each(['managed-direct', 'p2p-tunnelled'] as const)('I1: %s: the reply of Finish2 is lost on the way', (mode) =>
    inWorld(async (world) => {
      const proxy = await proxyTo(world.there.destination.url, (asked) => asked.endsWith('/finish2'));
      try {
        await expectSettled(world, migrate(world, { mode, via: proxy.url }), 'destination');
        expect(proxy.swallowed(), 'replies of Finish2 that were lost').toBeGreaterThan(0);
      } finally {
        await proxy.close();
      }
    }),
  );

  it('I1: the source agent is killed between Perform2 and Finish2: Finish2 cannot have the permit, and the guest goes on at the source', () =>
    inWorld(async (world) => {
      const hand = await new ByHandV2(world).performed();
      await hand.run.from.source.kill();
      expectProblem(await hand.finish(), 502, 'peer-unreachable');
      await hand.run.from.source.start();
      await expectSettled(world, hand.run, 'source');
      expectProblem(await hand.finish(), 409, 'migration-aborted');
      await expectSecond(world, 'p2p-direct', false);
    }));

  it('S42: a destination that is silent after Perform2 is told of at the source, which reads on and goes by the record', () =>
    inWorld(async (world) => {
      const hand = await new ByHandV2(world).performed();
      await hand.run.to.destination.kill();
      await untilSource(hand.run, ({ state, guest }) => state === 'NEEDS_ATTENTION' && guest.runningOn === 'unknown');
      await hand.run.to.destination.start();
      await expectSettled(world, hand.run, 'source');
    }));

  it('I11: the destination agent is killed after the record was bound', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'managed-tunnelled', ...endless });
      await untilStreaming(run);
      await run.to.destination.kill();
      await run.to.destination.start();
      await expectSettled(world, run, 'source');
      await expectSecond(world, 'managed-tunnelled', false);
    }));

  it.each(['managed-direct', 'p2p-tunnelled'] as const)('I11: %s: cancel while the memory streams', (mode: Mode) =>
    inWorld(async (world) => {
      const run = migrate(world, { mode, ...endless });
      await untilStreaming(run);
      await run.cancel();
      const { source } = await expectSettled(world, run, 'source');
      expect(source).toMatchObject({ state: 'CANCELLED', error: { code: 'migration-cancelled' } });
    }),
  );

  it('I2: Finish2 that cancels a loaded guest asks the source first, which reads aborted by itself and runs on', () =>
    inWorld(async (world) => {
      const hand = await new ByHandV2(world).performed();
      const finished = await hand.finish({ cancelled: true });
      expect([finished.status, finished.body.outcome]).toEqual([200, 'aborted']);
      await expectSettled(world, hand.run, 'source');
      await expectSecond(world, 'managed-direct', false);
    }));

  it('I11: nobody ever asks Finish2: the destination gives up by its timer, and the guest runs on at the source', () =>
    inWorld(async (world) => {
      const hand = await new ByHandV2(world).performed();
      const { destination } = await expectSettled(world, hand.run, 'source');
      expect(destination?.error).toMatchObject({ detail: expect.stringMatching(/Finish was not asked/) as string });
      await expectSecond(world, 'p2p-tunnelled', false);
    }));
});

describe('a Finish2 that fails: the source is not ended before the destination has committed, so it is rolled back as in v3', () => {
  it.each(['p2p-direct', 'managed-tunnelled'] as const)(
    'S13: %s: the configuration cannot be written: the target is torn down, and the guest runs on at the source',
    (mode) =>
      inWorld(async (world) => {
        const { source, destination } = await expectPersistRefused(world, mode);
        expect([source?.protocol, destination?.protocol]).toEqual(['v2', 'v2']);
        await expectSecond(world, mode, false);
      }),
  );

  it('S29: QEMU refuses to run the guest: no domain, the target ends as failed, and the source goes on as soon as it can', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const hand = await new ByHandV2(world).performed();
      const { from, to } = hand.run;
      const target = await world.incomingQemu();
      const unlock = await lockImage(world.diskPath);
      try {
        const finished = await hand.finish();
        expectProblem(finished, 500, 'monitor-failed');
        expect(finished.body).toMatchObject({ side: 'destination', detail: expect.stringMatching(/lock/) as string });
        expect(finished.body).not.toHaveProperty('domain');
        expect(processesOf(world.uuid)).toEqual([await world.qemuOn(from)]);
        expect(await auditOf(world, to, target)).toEqual(['start migrated', 'stop failed']);
        // Nobody confirms: the source reads the record by itself, and cannot let the guest go on as long as its disk is taken.
        await eventually(async () =>
          expect((await from.sourceClient().domain(world.uuid)).warning).toContain(`could not be run on ${from.name} yet`),
        );
      } finally {
        await unlock();
      }
      await expectSettled(world, hand.run, 'source');
      // The host that has its configuration keeps what came with it before the guest may run.
      const there = to === world.a ? ['started/migrated', 'defined/updated', 'stopped/failed'] : givenUp;
      await expectToldOf(world, marks, hand.run, rolledBack, there);
      expectProblem(await hand.finish(), 500, 'monitor-failed');
      await expectSecond(world, 'p2p-direct', false);
    }));

  it('S29: QEMU ends before it can run the guest', () =>
    inWorld(async (world) => {
      const hand = await new ByHandV2(world).performed();
      process.kill(await world.incomingQemu(), 'SIGKILL');
      // A Finish2 that its exit overtakes may have sent `cont`, and nobody would know whether the guest has run.
      await untilSettled(hand.run.to.destinationClient(), hand.id);
      expectProblem(await hand.finish(), 502, 'stream-failed');
      await expectSettled(world, hand.run, 'source');
      await expectSecond(world, 'p2p-direct', false);
    }));
});

/** Where a process of v2 is killed: around the binding, the permit and the decision. Every other point is met by v3 in the same code. */
const struck: readonly FaultCase[] = [
  { mode: 'p2p-direct', point: 'S6', kind: 'kill' },
  { mode: 'managed-tunnelled', point: 'S14', kind: 'kill' },
  { mode: 'managed-direct', point: 'S15', kind: 'kill' },
  { mode: 'p2p-tunnelled', point: 'S17', kind: 'kill' },
  { mode: 'p2p-direct', point: 'D13', kind: 'kill' },
  { mode: 'managed-direct', point: 'D15', kind: 'kill' },
  { mode: 'p2p-tunnelled', point: 'D17', kind: 'kill' },
  { mode: 'managed-tunnelled', point: 'D12', kind: 'freeze' },
];

describe('I11: a process of v2 that is struck at a named point', () => {
  it.each(struck.map((fault) => [titleOf(fault), fault] as const))('%s', (_title, fault) =>
    inWorld(async (world) => {
      const { source } = await strike(world, fault);
      if (source !== null) expect(source.protocol).toBe('v2');
    }),
  );
});

/** Begin's cookie of a migration of v2, which only the two agents see. */
async function beginCookieOf(world: World, { id, nonce }: ByHandV2): Promise<string> {
  const path = join(world.here.stateDir, 'migrations', `${id}.${nonce}.outgoing.json`);
  const text = await readFile(path, 'utf8');
  return (JSON.parse(text) as { document: { begin: { cookie: string } } }).document.begin.cookie;
}

describe('the questions between the agents of v2', () => {
  it('S42: while the memory streams the record is bound once, and nobody is permitted to finish', () =>
    inWorld(async (world) => {
      const hand = await new ByHandV2(world).prepared();
      const { storeId } = await world.there.destinationClient().version();
      const sourceStore = (await world.here.sourceClient().version()).storeId;
      expectProblem(await hand.finish(), 403, 'permit-invalid');
      const performing = hand.perform({ ...endless });
      await untilStreaming(hand.run);

      const cookie = await beginCookieOf(world, hand);
      const bind = (change: Record<string, unknown>) => hand.bind({ storeId, cookie, ...change });
      expect((await bind({})).body).toMatchObject({ answer: 'open', storeId });
      expect((await bind({ storeId: sourceStore })).body.answer).toBe('unknown');
      const other = changedCookie(cookie, (text) =>
        text.replace(/<permitDigest>./, (start) => `${start.slice(0, -1)}${start.endsWith('0') ? '1' : '0'}`),
      );
      expectProblem(await bind({ cookie: other }), 409, 'step-mismatch');
      expectProblem(
        await bind({ cookie: changedCookie(cookie, (text) => text.replace(/<name>[^<]*/, '<name>other')) }),
        422,
        'cookie-mismatch',
      );
      expectProblem(
        await bind({ cookie: changedCookie(cookie, (text) => text.replace("driver='embedded'", "driver='sanlock'")) }),
        422,
        'lock-driver-mismatch',
      );

      expect((await hand.permit({ storeId: sourceStore })).body).toEqual({ storeId: sourceStore, permit: null });
      expectProblem(await hand.finish(), 403, 'permit-invalid');
      expectProblem(await hand.perform(), 409, 'step-mismatch');

      await hand.run.cancel();
      expectProblem(await performing, 409, 'migration-cancelled');
      await expectSettled(world, hand.run, 'source');
    }));

  it('S42: the permit is given to the very journal that asks, and no more once the record was read', () =>
    inWorld(async (world) => {
      const hand = await new ByHandV2(world).performed();
      const { storeId } = await world.here.sourceClient().version();
      expect((await hand.permit({ storeId })).body.permit).toMatch(/^[0-9a-f]{32}$/);
      for (const wrong of [{ storeId: '0'.repeat(32) }, { storeId, nonce: '0'.repeat(32) }])
        expect((await hand.permit(wrong)).body.permit).toBeNull();
      expect((await hand.finish()).body.outcome).toBe('committed');
      await expectSettled(world, hand.run, 'destination');
      await eventually(async () => expect((await hand.permit({ storeId })).body.permit).toBeNull());
    }));
});
