import { randomUUID } from 'node:crypto';
import { processesOf } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { expectAudited } from '../checks/audit.js';
import { expectTidy } from '../checks/expect-settled.js';
import { expectNoStrayFiles } from '../checks/leftovers.js';
import { expectOneLife } from '../checks/life.js';
import { untilSettled } from '../checks/resources.js';
import { onA } from '../scenarios/scenario.js';
import { ask, expectProblem } from '../steps/ask.js';
import { ByHand, changedCookie } from '../steps/by-hand.js';
import { eventually } from '../world/eventually.js';
import { endless, migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const inWorld = sharedWorld();

describe('I9: a step that is repeated', () => {
  it('with the same body gets the same answer, with another 409, all the way to the other host', () =>
    inWorld(async (world) => {
      const hand = new ByHand(world);
      const [begun, begunAgain] = await Promise.all([hand.begin(), hand.begin()]);
      expect(begunAgain).toEqual(begun);
      hand.begun = begun.body as unknown as typeof hand.begun;
      expect(await hand.begin()).toEqual(begun);
      expectProblem(await hand.begin({ downtimeMsMax: 7 }), 409, 'step-mismatch');

      const [prepared, preparedAgain] = await Promise.all([hand.prepare(), hand.prepare()]);
      expect(preparedAgain).toEqual(prepared);
      hand.prepared = prepared.body as unknown as typeof hand.prepared;
      expect(processesOf(world.uuid)).toHaveLength(2);
      expectProblem(await hand.prepare({ bandwidthMibPerSec: 7 }), 409, 'step-mismatch');

      const [performed, performedAgain] = await Promise.all([hand.perform(), hand.perform()]);
      expect([performed.status, performedAgain]).toEqual([200, performed]);
      hand.performed = performed.body as unknown as typeof hand.performed;
      expectProblem(await hand.perform({ bandwidthMibPerSec: 7 }), 409, 'step-mismatch');

      const [finished, finishedAgain] = await Promise.all([hand.finish(), hand.finish()]);
      expect([finished.body.outcome, finishedAgain]).toEqual(['committed', finished]);
      expectProblem(await hand.finish({ destinationName: 'other' }), 409, 'step-mismatch');
      expect(await hand.finish()).toEqual(finished);

      expect((await hand.confirm()).body).toEqual({ outcome: 'committed', state: 'SUCCEEDED' });
      expect((await hand.confirm({ cancelled: true })).body, 'rule 6: whatever its flag says').toEqual({
        outcome: 'committed',
        state: 'SUCCEEDED',
      });
      world.here = world.there;
      expectOneLife(world);
      await expectTidy(world, true);
    }));

  it('with Prefer: wait=0 is 202 until it is done, and then its answer', () =>
    inWorld(async (world) => {
      const hand = new ByHand(world);
      const begin = (wait: string) =>
        ask(hand.source, `/v1/migrations/${hand.id}/begin`, {
          body: { domain: world.name },
          headers: { prefer: `wait=${wait}` },
        });
      expect([200, 202]).toContain((await begin('0')).status);
      const begun = await begin('10');
      expect(begun.status, JSON.stringify(begun.body)).toBe(200);
      hand.begun = begun.body as unknown as typeof hand.begun;
      await hand.giveUp();
    }));
});

describe('cancel', () => {
  it('twice is no error; the migration ends CANCELLED and the guest runs on', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'p2p-direct', ...endless });
      await run.driven;
      const cancel = () => ask(world.here.source.url, `/v1/migrations/${run.id}/cancel`, { body: {} });
      expect([(await cancel()).status, (await cancel()).status]).toEqual([202, 202]);
      const told = await untilSettled(world.here.sourceClient(), run.id);
      expect([told?.state, told?.cancel?.outcome, told?.guest.runningOn]).toEqual(['CANCELLED', 'SUCCEEDED', 'source']);
      expect((await cancel()).body).toMatchObject({ state: 'CANCELLED' });
      expect((await untilSettled(world.there.destinationClient(), run.id))?.outcome).toBe('aborted');
      await expectTidy(world, true);
    }));

  it('after the commit is 409, and the guest stays where it is', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('finish');
      await hand.confirm();
      expectProblem(await hand.cancel(), 409, 'past-point-of-no-return');
      world.here = world.there;
      expectOneLife(world);
      await expectTidy(world, true);
    }));

  it('of a migration that has failed changes nothing of its story', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare');
      const cookie = changedCookie(hand.prepared.cookie, (text) =>
        text.replace(/ticket='(.)/, (_all, first) => `ticket='${first === 'a' ? 'b' : 'a'}`),
      );
      expectProblem(await hand.perform({ cookie }), 403, 'ticket-invalid');
      await hand.giveUp();
      expect((await hand.cancel()).body).toMatchObject({ state: 'FAILED', cancel: null });
      await world.here.source.kill();
      await world.here.source.start();
      expect((await ask(hand.source, `/v1/migrations/${hand.id}`, { method: 'GET' })).body).toMatchObject({
        state: 'FAILED',
        cancel: null,
      });
    }));
});

describe('what a migration under way refuses', () => {
  it('a second one, being forgotten, limits of no sense; and once it is over limits at all', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'p2p-direct', ...endless });
      expect(await run.driven).toBeNull();
      const path = `/v1/migrations/${run.id}`;
      const { url } = world.here.source;
      const again = { id: run.id, domain: world.name, destination: world.there.destination.url };
      expectProblem(await ask(url, '/v1/migrations', { body: again }), 409, 'migration-exists');
      expectProblem(await ask(url, '/v1/migrations', { body: { ...again, id: randomUUID() } }), 409, 'already-migrating');
      expectProblem(await ask(url, path, { method: 'DELETE' }), 409, 'migration-live');
      for (const body of [
        {},
        { downtimeMsMax: 0 },
        { downtimeMsMax: 1e9 },
        { bandwidthMibPerSec: -1 },
        { bandwidthMibPerSec: 1.5 },
        { speed: 1 },
      ]) {
        expectProblem(await ask(url, `${path}/parameters`, { method: 'PATCH', body }), 422, 'invalid-argument');
      }
      await run.cancel();
      await untilSettled(world.here.sourceClient(), run.id);
      expectProblem(await ask(url, `${path}/parameters`, { method: 'PATCH', body: { downtimeMsMax: 10 } }), 409, 'not-migrating');
      expect((await ask(url, path, { method: 'DELETE' })).status).toBe(204);
      expectProblem(await ask(url, path, { method: 'DELETE' }), 404, 'migration-not-found');
    }));
});

/** The guest was destroyed on the source: no copy of it lives, and the record says aborted. */
async function expectDestroyed(world: World, hand: ByHand): Promise<void> {
  const answer = await ask(hand.source, `/v1/domains/${world.uuid}/destroy`, { body: {} });
  expect([answer.status, answer.body.state, answer.body.reason], JSON.stringify(answer.body)).toEqual([
    200,
    'shutoff',
    'destroyed',
  ]);
  await eventually(() => expect(processesOf(world.uuid)).toEqual([]));
  const told = await untilSettled(world.there.destinationClient(), hand.id);
  if (told !== null) expect(told.outcome).toBe('aborted');
  await eventually(async () => {
    for (const host of world.hosts) await expectNoStrayFiles(host, false);
    await expectAudited(world, []);
  });
}

describe('destroy on the source', () => {
  it.each(['begin', 'prepare', 'perform'] as const)('after %s: no copy is left, and no record says otherwise', (phase) =>
    inWorld(async (world) => {
      await onA(world);
      const hand = await new ByHand(world).upTo(phase);
      await expectDestroyed(world, hand);
      await world.boot();
    }),
  );

  it('while the memory is sent', () =>
    inWorld(async (world) => {
      await onA(world);
      const hand = await new ByHand(world).upTo('prepare', { ...endless });
      const performing = hand.perform();
      performing.catch(() => undefined);
      await eventually(async () => {
        const told = await world.here.sourceClient().migration(hand.id);
        expect(told.progress).not.toBeNull();
      });
      await expectDestroyed(world, hand);
      expect((await performing).status).toBeGreaterThanOrEqual(400);
      await world.boot();
    }));

  it('after the commit is 409 and names the host where the guest runs', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('finish');
      const answer = await ask(hand.source, `/v1/domains/${world.uuid}/destroy`, { body: {} });
      expectProblem(answer, 409, 'past-point-of-no-return');
      await hand.confirm();
      world.here = world.there;
      await world.moreTicks();
      expectOneLife(world);
      await expectTidy(world, true);
    }));
});
