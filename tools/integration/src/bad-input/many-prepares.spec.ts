import { randomUUID } from 'node:crypto';
import { processesOf } from '@vmferry/lab';
import { systemRandom } from '@vmferry/seams';
import { expect, it } from 'vitest';
import { expectTidy } from '../checks/expect-settled.js';
import { expectOneLife } from '../checks/life.js';
import { ask, expectProblem } from '../steps/ask.js';
import { ByHand, changedCookie } from '../steps/by-hand.js';
import { eventually } from '../world/eventually.js';
import { sharedWorld } from '../world/with-world.js';

const inWorld = sharedWorld();
const many = 100;
const underWayMax = 16;

/** A Prepare of another domain, made from a Begin that was: no disk, and a serial port that nobody reads. */
function another(hand: ByHand): { id: string; uuid: string; body: Record<string, unknown> } {
  const [id, uuid, nonce] = [randomUUID(), randomUUID(), systemRandom.hex(16)];
  const named = (text: string) =>
    text
      .replaceAll(hand.world.uuid, uuid)
      .replaceAll(`<name>${hand.world.name}</name>`, `<name>n${uuid}</name>`)
      .replaceAll(hand.id, id)
      .replaceAll(hand.begun.nonce, nonce);
  const xml = named(hand.begun.xml)
    .replace(/<disk[\s\S]*<\/disk>/, '')
    .replace(/<serial[\s\S]*<\/serial>/, '');
  return { id, uuid, body: { nonce, cookie: changedCookie(hand.begun.cookie, named), xml, flags: hand.begun.flags } };
}

it('100 Prepares at once: a few are taken, the others are 429 and leave nothing, and all are cleaned up', () =>
  inWorld(async (world) => {
    const hand = await new ByHand(world).upTo('begin');
    const domains = Array.from({ length: many }, () => another(hand));
    const answers = await Promise.all(
      domains.map(({ id, body }) => ask(hand.destination, `/v1/migrations/${id}/prepare`, { body })),
    );
    const taken = answers.filter(({ status }) => status === 200).length;
    expect(taken).toBe(underWayMax);
    for (const answer of answers) if (answer.status !== 200) expectProblem(answer, 429, 'too-many-requests');
    for (const [index, { uuid }] of domains.entries())
      expect(processesOf(uuid)).toHaveLength(answers[index]?.status === 200 ? 1 : 0);
    expect((await ask(hand.destination, '/readyz', { method: 'GET' })).status).toBe(200);
    // Nobody comes for them: their own timer ends them.
    await eventually(() => expect(domains.flatMap(({ uuid }) => processesOf(uuid))).toEqual([]));
    await hand.giveUp();
    await world.moreTicks(3);
    expectOneLife(world);
    await expectTidy(world, true);
  }));

it('two Prepares of one domain at once: one QEMU, the other is in doubt', () =>
  inWorld(async (world) => {
    const hand = await new ByHand(world).upTo('begin');
    const domain = another(hand);
    const rival = { id: randomUUID(), nonce: systemRandom.hex(16) };
    const cookie = changedCookie(String(domain.body.cookie), (text) =>
      text.replaceAll(domain.id, rival.id).replaceAll(String(domain.body.nonce), rival.nonce),
    );
    const answers = await Promise.all([
      ask(hand.destination, `/v1/migrations/${domain.id}/prepare`, { body: domain.body }),
      ask(hand.destination, `/v1/migrations/${rival.id}/prepare`, { body: { ...domain.body, nonce: rival.nonce, cookie } }),
    ]);
    // Which of them comes first is open.
    const [taken, refused] = answers.toSorted((one, other) => one.status - other.status);
    expect(taken?.status, JSON.stringify(taken?.body)).toBe(200);
    if (refused !== undefined) expectProblem(refused, 409, 'in-doubt');
    expect(processesOf(domain.uuid)).toHaveLength(1);
    for (const { id, nonce } of [{ id: domain.id, nonce: domain.body.nonce }, rival])
      await ask(hand.destination, `/v1/migrations/${id}/finish`, { body: { nonce, cookie: '', cancelled: true } });
    await eventually(() => expect(processesOf(domain.uuid)).toEqual([]));
    await hand.giveUp();
    await expectTidy(world, true);
  }));
