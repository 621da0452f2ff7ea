import { once } from 'node:events';
import http from 'node:http';
import type { Socket } from 'node:net';
import type { MigrationResource } from '@vmferry/api';
import { openStream } from '@vmferry/client';
import { processesOf } from '@vmferry/lab';
import { describe, expect, it, onTestFinished } from 'vitest';
import { expectTidy } from '../checks/expect-settled.js';
import { expectOneLife } from '../checks/life.js';
import { untilSettled } from '../checks/resources.js';
import { type Answer, ask, expectProblem } from '../steps/ask.js';
import { ByHand } from '../steps/by-hand.js';
import { expectUntouched } from '../steps/untouched.js';
import { eventually } from '../world/eventually.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const inWorld = sharedWorld();
const transports = [
  ['direct', ['LIVE']],
  ['tunnelled', ['LIVE', 'TUNNELLED']],
] as const;

/** Where the stream of a prepared migration goes, as the cookie tells its source. */
function offerOf(hand: ByHand): { url: string; ticket: string } {
  const text = Buffer.from(hand.prepared.cookie, 'base64').toString('utf8');
  const [, url = '', ticket = ''] = /<stream url='([^']+)' ticket='([^']+)'/.exec(text) ?? [];
  return { url, ticket };
}

function prepared(world: World, flags: readonly string[]): Promise<ByHand> {
  return new ByHand(world).upTo('prepare', { flags });
}

async function attach(hand: ByHand): Promise<Socket> {
  const { socket } = await openStream({ ...offerOf(hand), migrationId: hand.id, deadlineMs: 5_000 });
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** An upgrade as a stranger may send it; the answer is a problem document on the wire. */
async function upgrade(url: string, headers: Record<string, string>): Promise<Answer> {
  const request = http.request(url, { agent: false, headers: { connection: 'Upgrade', ...headers } });
  request.end();
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return {
    status: response.statusCode ?? 0,
    contentType: response.headers['content-type'] ?? '',
    body: JSON.parse(text) as Answer['body'],
  };
}

/** The destination has given up for this reason, nothing is left of it, and the guest has run on all the time. */
async function expectGivenUp(world: World, hand: ByHand, code: string): Promise<void> {
  const told = (await untilSettled(world.there.destinationClient(), hand.id)) as MigrationResource;
  expect([told.state, told.outcome, told.error?.code, told.guest.runningOn]).toEqual(['FAILED', 'aborted', code, 'source']);
  expect(processesOf(world.uuid)).toEqual([await world.qemuOn(world.here)]);
  await hand.confirm({ cancelled: true });
  await world.moreTicks(3);
  expectOneLife(world);
  await expectTidy(world, true);
}

describe.each(transports)('the ticket of a %s stream', (_transport, flags) => {
  it('a wrong one is refused and does not use up the right one', () =>
    inWorld(async (world) => {
      const hand = await prepared(world, flags);
      const { url, ticket } = offerOf(hand);
      const wrong = `${ticket.slice(0, -1)}${ticket.endsWith('0') ? '1' : '0'}`;
      const good = { upgrade: 'vmferry-stream-1', 'x-vmferry-migration': hand.id };
      await expectUntouched(world, async () => {
        expectProblem(await upgrade(url, { ...good, 'x-vmferry-ticket': wrong }), 403, 'ticket-invalid');
        expectProblem(await upgrade(url, { ...good, 'x-vmferry-ticket': `${ticket}0` }), 403, 'ticket-invalid');
        expectProblem(await upgrade(url, { ...good }), 403, 'ticket-invalid');
        expectProblem(
          await upgrade(url, { ...good, 'x-vmferry-ticket': ticket, 'x-vmferry-migration': 'another' }),
          403,
          'ticket-invalid',
        );
        expectProblem(
          await upgrade(url, { ...good, upgrade: 'websocket', 'x-vmferry-ticket': ticket }),
          400,
          'malformed-request',
        );
        const elsewhere = url.replace(/[^/]+(\/(?:stream|attach))$/, '6ba7b810-9dad-11d1-80b4-00c04fd430c8$1');
        expect((await upgrade(elsewhere, { ...good, 'x-vmferry-ticket': ticket })).status).toBe(404);
      });
      const performed = await hand.perform();
      expect(performed.status, JSON.stringify(performed.body)).toBe(200);
      await hand.giveUp();
      await expectTidy(world, true);
    }));

  it('one that was used is refused: Perform fails with its code, and the guest runs on', () =>
    inWorld(async (world) => {
      const hand = await prepared(world, flags);
      const { url, ticket } = offerOf(hand);
      const thief = await attach(hand);
      expectProblem(
        await upgrade(url, { upgrade: 'vmferry-stream-1', 'x-vmferry-migration': hand.id, 'x-vmferry-ticket': ticket }),
        403,
        'ticket-invalid',
      );
      const performed = await hand.perform();
      expectProblem(performed, 403, 'ticket-invalid');
      expect((await hand.perform()).body.code, 'I9: the same step, the same answer').toBe('ticket-invalid');
      thief.destroy();
      await hand.giveUp();
      await world.moreTicks(3);
      expectOneLife(world);
      await expectTidy(world, true);
    }));
});

describe.each(transports)('a %s stream', (_transport, flags) => {
  it('that nobody opens: stream-silent', () =>
    inWorld(async (world) => {
      await expectGivenUp(world, await prepared(world, flags), 'stream-silent');
    }));

  it('that connects and stays silent: stream-silent', () =>
    inWorld(async (world) => {
      const hand = await prepared(world, flags);
      await attach(hand);
      await expectGivenUp(world, hand, 'stream-silent');
    }));

  it.each([
    ['of text', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(64))],
    ['of zeroes', Buffer.alloc(65_536)],
    ['behind the magic of a migration', Buffer.concat([Buffer.from('5145564d00000003', 'hex'), Buffer.alloc(4_096, 0xff)])],
  ])('with garbage %s: stream-failed', (_what, garbage) =>
    inWorld(async (world) => {
      const hand = await prepared(world, flags);
      (await attach(hand)).write(garbage);
      await expectGivenUp(world, hand, 'stream-failed');
    }),
  );

  it('that ends after a few bytes: the migration fails and leaves nothing behind', () =>
    inWorld(async (world) => {
      const hand = await prepared(world, flags);
      (await attach(hand)).end(Buffer.from('5145564d', 'hex'));
      await expectGivenUp(world, hand, 'stream-failed');
    }));
});

it('a session that is not renewed: both sides let go, session-lost', () =>
  inWorld(async (world) => {
    const session = async (base: string) => (await ask(base, '/v1/sessions', { body: { ttlSeconds: 1 } })).body.id;
    const hand = new ByHand(world);
    hand.begun = (await hand.begin({ session: await session(hand.source) })).body as unknown as typeof hand.begun;
    const answer = await hand.prepare({ session: await session(hand.destination) });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    const source = await untilSettled(world.here.sourceClient(), hand.id);
    expect([source?.state, source?.error?.code, source?.guest.runningOn]).toEqual(['FAILED', 'session-lost', 'source']);
    const destination = await untilSettled(world.there.destinationClient(), hand.id);
    expect([destination?.outcome, destination?.error?.code]).toEqual(['aborted', 'session-lost']);
    await eventually(() => expectTidy(world, true));
  }));
