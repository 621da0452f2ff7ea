import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { processesOf } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { auditOf } from '../checks/audit.js';
import { expectTidy } from '../checks/expect-settled.js';
import { expectOneLife } from '../checks/life.js';
import { keptOf } from '../checks/on-disk.js';
import { untilSettled } from '../checks/resources.js';
import { eventually } from '../world/eventually.js';
import { lockImage } from '../world/image-lock.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { ask, expectProblem } from './ask.js';
import { ByHand, changedCookie } from './by-hand.js';
import { expectUntouched } from './untouched.js';

const inWorld = sharedWorld();
const tunnelled = ['LIVE', 'TUNNELLED'];

/** The guest stays where it is, and nothing is left of its incoming QEMU. */
async function expectStays(world: World, hand: ByHand): Promise<void> {
  await hand.giveUp();
  expect((await untilSettled(world.there.destinationClient(), hand.id))?.outcome).toBe('aborted');
  await world.moreTicks();
  expectOneLife(world);
  await expectTidy(world, true);
}

async function expectGoesOver(world: World, hand: ByHand, cookie: unknown): Promise<void> {
  expect((await hand.confirm({ cookie })).body).toMatchObject({ outcome: 'committed', state: 'SUCCEEDED' });
  world.here = world.there;
  await world.moreTicks();
  expectOneLife(world);
  await expectTidy(world, true);
}

describe('S8: Prepare and PrepareTunnel', () => {
  /** What one of them leaves: record, answer and audit, without what is of this one migration. */
  async function left(world: World, flags: readonly string[]) {
    const hand = await new ByHand(world).upTo('prepare', { flags });
    const { record, ...journal } = await keptOf(world.there, hand.id, 'incoming');
    expect(record.lease, 'the lock state that came with the cookie').toMatch(/./);
    const offered = Buffer.from(hand.begun.cookie, 'base64').toString();
    expect(offered.replaceAll('&quot;', '"'), 'and is that of the source').toContain(record.lease);
    const audit = await auditOf(world, world.there, await world.incomingQemu());
    await expectStays(world, hand);
    const own = /migrationId="?[^ ]*|[0-9a-f-]{32,64}|http:[^'"]*|"createdAt":"[^"]*"/g;
    const plain = (value: unknown) => JSON.stringify(value).replaceAll(hand.id, 'ID').replaceAll(own, '*');
    const cookie = Buffer.from(hand.prepared.cookie, 'base64').toString();
    const kept = { ...journal, prepareAnswer: null, transport: null, flags: null };
    return { record: plain({ ...record, permitDigest: '' }), kept: plain(kept), cookie: plain(cookie), audit };
  }

  it('keep the same lock state, answer with the same cookie, and leave the same audit', () =>
    inWorld(async (world) => {
      const direct = await left(world, ['LIVE']);
      expect(direct.audit).toEqual(['start migrated']);
      expect(await left(world, tunnelled)).toEqual(direct);
    }));
});

describe('S12: a domain of another hypervisor is refused at every entry', () => {
  it.each(['lxc', 'test', 'QEMU'])('%j', (type) =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      const xml = hand.begun.xml.replace(/type='qemu'/, `type='${type}'`);
      const { url } = world.here.source;
      const code = 'domain-type-unexpected';
      await expectUntouched(world, async () => {
        const answers = [
          await hand.prepare({ xml }),
          await ask(url, '/v1/domains', { body: { xml } }),
          await ask(url, '/v1/domains', { body: { xml, transient: true } }),
        ];
        for (const answer of answers) expect([answer.status, answer.body.code]).toEqual([422, code]);
      });
      await hand.giveUp();
      await expectUntouched(world, async () => {
        const body = { domain: world.name, xml };
        expect((await new ByHand(world).begin(body)).body.code).toBe(code);
        const migration = { ...body, destination: world.there.destination.url };
        expect((await ask(url, '/v1/migrations', { body: migration })).body.code).toBe(code);
      });
    }),
  );
});

describe('S16: on the target the migration comes in', () => {
  it('its resource says so, nobody can cancel it there, and the guest is not to be started beside it', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare');
      const path = `/v1/migrations/${hand.id}`;
      expect(await world.there.destinationClient().migration(hand.id)).toMatchObject({ side: 'destination', phase: 'prepare' });
      expectProblem(await ask(world.there.destination.url, `${path}/cancel`, { body: {} }), 404, 'not-found');
      expectProblem(await ask(world.there.source.url, path, { method: 'GET' }), 404, 'migration-not-found');
      const there = world.there.sourceClient();
      await there.createDomain({ xml: world.xml });
      await expect(there.start(world.uuid)).rejects.toMatchObject({ code: 'in-doubt', data: { migrationId: hand.id } });
      if (world.there === world.b) await there.undefineDomain(world.uuid);
      await expectStays(world, hand);
    }));
});

describe('S22: after Perform', () => {
  it('the source is paused by its migration, and stays so until Confirm', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('perform');
      const source = world.here.sourceClient();
      const paused = { state: 'paused', reason: 'migration', job: { kind: 'migration-out', phase: 'perform3_done' } };
      await eventually(async () => expect(await source.domain(world.uuid)).toMatchObject(paused));
      const finished = await hand.finish();
      expect(await source.domain(world.uuid), 'Finish alone changes nothing here').toMatchObject(paused);
      await expectGoesOver(world, hand, finished.body.cookie);
    }));
});

describe('S26: Finish', () => {
  it('tells of the domain, or says why there is none', () =>
    inWorld(async (world) => {
      const failed = await new ByHand(world).upTo('perform');
      const cancelled = await failed.finish({ cookie: '', cancelled: true });
      expect(cancelled.body).toMatchObject({ outcome: 'aborted', domain: null });
      const late = await failed.finish();
      expectProblem(late, 409, 'migration-aborted');
      expect(late.body.detail).toContain('asked Finish to cancel');
      await expectStays(world, failed);
      const hand = await new ByHand(world).upTo('perform');
      const { body } = await hand.finish();
      const domain = { uuid: world.uuid, name: world.name, state: 'running', reason: 'migrated' };
      expect(body).toMatchObject({ outcome: 'committed', domain });
      await expectGoesOver(world, hand, body.cookie);
    }));
});

describe('S29: Finish that QEMU refuses to run', () => {
  it('tells QEMU’s own error, ends the target as failed, and the source runs on when it can; its agent may be restarted meanwhile', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('perform');
      const [source, target] = [world.here, await world.incomingQemu()];
      const unlock = await lockImage(world.diskPath);
      try {
        const finished = await hand.finish();
        expectProblem(finished, 500, 'monitor-failed');
        expect(finished.body).toMatchObject({ side: 'destination', detail: expect.stringMatching(/lock/) as string });
        expect(processesOf(world.uuid)).toEqual([await world.qemuOn(source)]);
        expect(await auditOf(world, world.there, target)).toEqual(['start migrated', 'stop failed']);
        const confirming = hand.confirm({ cancelled: true }).catch(() => undefined);
        // Restart of an agent: the source in confirm3_cancelled. The guest cannot be let go on as long as its disk is taken.
        await eventually(async () => expect((await keptOf(source, hand.id, 'outgoing')).machine.stage).toBe('resuming'));
        await source.source.kill();
        await source.source.start();
        await confirming;
        await eventually(async () =>
          expect((await source.sourceClient().domain(world.uuid)).warning).toContain(`could not be run on ${source.name} yet`),
        );
      } finally {
        await unlock();
      }
      const told = await untilSettled(source.sourceClient(), hand.id);
      expect(told).toMatchObject({ state: 'FAILED', guest: { runningOn: 'source' } });
      expect(await source.sourceClient().domain(world.uuid)).toMatchObject({ state: 'running', reason: 'migration canceled' });
      await expectStays(world, hand);
    }));
});

describe('S41: the cookie out of each step goes into the next', () => {
  it('and no other does', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare', { flags: tunnelled });
      expectProblem(await hand.perform({ cookie: hand.begun.cookie }), 422, 'same-host');
      expectProblem(await hand.finish({ cookie: hand.begun.cookie }), 422, 'cookie-feature-unsupported');
      hand.performed = (await hand.perform()).body as unknown as typeof hand.performed;
      expectProblem(await hand.finish({ cookie: hand.prepared.cookie }), 422, 'same-host');
      const { body } = await hand.finish();
      expectProblem(await hand.confirm({ cookie: hand.performed.cookie }), 422, 'same-host');
      await expectGoesOver(world, hand, body.cookie);
    }));
});

describe('S56: the QEMU of a tunnel', () => {
  it('is handed a connected socket: no socket file is there for the stream, once it is prepared and afterwards', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare', { flags: tunnelled });
      const sockets = async () => {
        const folders = world.hosts.map(({ stateDir }) => readdir(dirname(stateDir), { recursive: true, withFileTypes: true }));
        return (await Promise.all(folders)).flat().flatMap((entry) => (entry.isSocket() ? [entry.name] : []));
      };
      const monitors = ['dst.qmp', 'src.qmp'];
      expect((await sockets()).sort()).toEqual([...monitors, ...monitors].sort());
      hand.performed = (await hand.perform()).body as unknown as typeof hand.performed;
      expect((await sockets()).sort()).toEqual([...monitors, ...monitors].sort());
      const { body } = await hand.finish();
      await expectGoesOver(world, hand, body.cookie);
      expect((await sockets()).sort()).toEqual(monitors.sort());
    }));
});

describe('S43: a tunnel that cannot be set up after Prepare tears the target down', () => {
  it('the relay of the destination has lost the stream', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare', { flags: tunnelled });
      await world.there.relay.kill();
      await world.there.relay.start();
      const { body } = await hand.perform();
      // The QEMU of the destination may have met the end of its stream first.
      expect(['stream-not-found', 'migration-aborted']).toContain(body.code);
      await expectStays(world, hand);
    }));

  it('its ticket is wrong', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare', { flags: tunnelled });
      const cookie = changedCookie(hand.prepared.cookie, (text) =>
        text.replace(/ticket='(.)/, (_all, first) => `ticket='${first === 'a' ? 'b' : 'a'}`),
      );
      expectProblem(await hand.perform({ cookie }), 403, 'ticket-invalid');
      await expectStays(world, hand);
    }));
});
