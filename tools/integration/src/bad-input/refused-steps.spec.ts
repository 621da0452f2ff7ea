import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Answer, ask, expectProblem } from '../steps/ask.js';
import { ByHand, changedCookie } from '../steps/by-hand.js';
import { expectUntouched } from '../steps/untouched.js';
import { sharedWorld } from '../world/with-world.js';

const inWorld = sharedWorld();
const nonce = '0123456789abcdef0123456789abcdef';

/** What may be wrong with a cookie, whatever step it is for. */
const cookieFaults: readonly (readonly [what: string, status: number, code: string, (good: string) => string])[] = [
  ['no base64', 422, 'cookie-malformed', () => '***'],
  [
    'S46: without its NUL',
    422,
    'cookie-malformed',
    (good) => Buffer.from(Buffer.from(good, 'base64').subarray(0, -1)).toString('base64'),
  ],
  ['S46: one byte over the limit', 413, 'cookie-too-large', () => Buffer.alloc(16_385).toString('base64')],
  ['S46: far over the limit', 413, 'cookie-too-large', () => Buffer.alloc(1_000_000).toString('base64')],
  ['no XML', 422, 'cookie-malformed', () => Buffer.from('hello\0').toString('base64')],
  ['a DOCTYPE', 422, 'cookie-malformed', (good) => changedCookie(good, (text) => `<!DOCTYPE x>${text}`)],
  ['a NUL inside', 422, 'cookie-malformed', (good) => changedCookie(good, (text) => text.replace('<name>', '<name>\0'))],
  ['another root', 422, 'cookie-malformed', (good) => changedCookie(good, () => '<cookie/>')],
  ['no name', 422, 'cookie-malformed', (good) => changedCookie(good, (text) => text.replace(/<name>.*<\/name>/, ''))],
  [
    'the name of another domain',
    422,
    'cookie-mismatch',
    (good) => changedCookie(good, (text) => text.replace(/<name>.*<\/name>/, '<name>other</name>')),
  ],
  [
    'the uuid of another domain',
    422,
    'cookie-mismatch',
    (good) => changedCookie(good, (text) => text.replace(/<uuid>.*<\/uuid>/, `<uuid>${randomUUID()}</uuid>`)),
  ],
  [
    'S35: a feature that nobody knows',
    422,
    'cookie-feature-unsupported',
    (good) => changedCookie(good, (text) => text.replace(/<vmferry/, "<feature name='warp'/><vmferry")),
  ],
  [
    'another nonce',
    422,
    'cookie-mismatch',
    (good) => changedCookie(good, (text) => text.replace(/nonce='[0-9a-f]{32}'/, `nonce='${nonce}'`)),
  ],
  [
    'no element of vmferry',
    422,
    'cookie-malformed',
    (good) => changedCookie(good, (text) => text.replace(/<vmferry[\s\S]*<\/vmferry>/, '')),
  ],
];

const sameHostFaults = (hostName: string, hostUuid: string): typeof cookieFaults => [
  [
    'S46: the name of this host',
    422,
    'same-host',
    (good) =>
      changedCookie(good, (text) => text.replace(/<hostname>.*<\/hostname>/, `<hostname>${hostName.toUpperCase()}</hostname>`)),
  ],
  [
    'S46: the uuid of this host',
    422,
    'same-host',
    (good) => changedCookie(good, (text) => text.replace(/<hostuuid>.*<\/hostuuid>/, `<hostuuid>${hostUuid}</hostuuid>`)),
  ],
];

describe('Prepare is refused before anything happens', () => {
  it('threat 9: with any cookie but the one of Begin', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      const { hostName, hostUuid } = await world.there.destinationClient().version();
      const more: typeof cookieFaults = [
        ['no cookie', 422, 'cookie-malformed', () => ''],
        [
          'A2: another lock driver',
          422,
          'lock-driver-mismatch',
          (good) => changedCookie(good, (text) => text.replace("driver='embedded'", "driver='sanlock'")),
        ],
        [
          'no permit digest',
          422,
          'cookie-malformed',
          (good) => changedCookie(good, (text) => text.replace(/<permitDigest>.*<\/permitDigest>/, '')),
        ],
        ...sameHostFaults(hostName, hostUuid),
      ];
      await expectUntouched(world, async () => {
        for (const [what, status, code, change] of [...cookieFaults, ...more]) {
          const answer = await hand.prepare({ cookie: change(hand.begun.cookie) });
          expect.soft([what, answer.body.code]).toEqual([what, code]);
          expectProblem(answer, status, code);
        }
      });
      await hand.giveUp();
    }));

  it('with any other body that is wrong', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      const { xml } = hand.begun;
      const bodies: readonly (readonly [number, string, Record<string, unknown>])[] = [
        [422, 'xml-malformed', { xml: '<domain' }],
        [422, 'xml-forbidden', { xml: `<!DOCTYPE domain>${xml}` }],
        [413, 'xml-too-large', { xml: xml.replace('</domain>', `<!--${' '.repeat(1_048_576)}--></domain>`) }],
        [422, 'definition-invalid', { xml: xml.replace(/<name>.*<\/name>/, '') }],
        [422, 'domain-type-unexpected', { xml: xml.replace("type='qemu'", "type='lxc'") }],
        [422, 'device-unsupported', { xml: xml.replace('</devices>', '<shmem name="x"/></devices>') }],
        [422, 'flag-unknown', { flags: ['LIVELY'] }],
        [422, 'flag-unsupported', { flags: ['NON_SHARED_DISK'] }],
        [422, 'invalid-argument', { flags: ['TUNNELLED'] }],
        [422, 'invalid-argument', { surprise: true }],
        [422, 'invalid-argument', { nonce: 'x' }],
        [422, 'cookie-mismatch', { nonce }],
        [422, 'invalid-argument', { destinationName: 'a/b' }],
        [422, 'invalid-argument', { bandwidthMibPerSec: -5 }],
        [404, 'session-not-found', { session: randomUUID() }],
      ];
      await expectUntouched(world, async () => {
        for (const [status, code, change] of bodies) expectProblem(await hand.prepare(change), status, code);
        expectProblem(await hand.prepare({}, 'prepare-tunnel'), 422, 'invalid-argument');
      });
      expectProblem(
        await ask(world.here.destination.url, `/v1/migrations/${hand.id}/prepare`, {
          body: { nonce: hand.begun.nonce, cookie: hand.begun.cookie, xml },
        }),
        422,
        'same-host',
      );
      await hand.giveUp();
    }));

  it('a refused Prepare does not bar the right one: the guest goes over', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      expectProblem(await hand.prepare({ cookie: '***' }), 422, 'cookie-malformed');
      expect((await hand.prepare()).status).toBe(200);
      await hand.giveUp();
    }));
});

describe('Begin is refused before anything happens', () => {
  it.each([
    [404, 'domain-not-found', { domain: 'nobody' }],
    [422, 'flag-unknown', { flags: ['X'] }],
    [422, 'invalid-argument', { flags: ['PEER2PEER'] }],
    [422, 'invalid-argument', { surprise: 1 }],
    [422, 'xml-forbidden', { xml: '<!DOCTYPE x><domain/>' }],
    [422, 'xml-malformed', { xml: '<' }],
    [404, 'session-not-found', { session: '6ba7b810-9dad-11d1-80b4-00c04fd430c8' }],
  ])('%s %s', (status, code, change) =>
    inWorld((world) => expectUntouched(world, async () => expectProblem(await new ByHand(world).begin(change), status, code))),
  );

  it('while the domain takes part in another migration', () =>
    inWorld(async (world) => {
      const first = await new ByHand(world).upTo('begin');
      await expectUntouched(world, async () => {
        expectProblem(await new ByHand(world).begin(), 409, 'already-migrating');
        const body = { domain: world.name, destination: world.there.destination.url };
        expectProblem(await ask(world.here.source.url, '/v1/migrations', { body }), 409, 'already-migrating');
      });
      await first.giveUp();
    }));
});

describe('Perform is refused before anything happens', () => {
  it('threat 9: without Begin, with another nonce, and with any cookie but the one of Prepare', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare');
      const { hostName, hostUuid } = await world.here.sourceClient().version();
      await expectUntouched(world, async () => {
        expectProblem(await new ByHand(world).perform(), 404, 'migration-not-found');
        expectProblem(await hand.perform({ nonce }), 409, 'step-mismatch');
        expectProblem(await hand.perform({ flags: ['LIVELY'] }), 422, 'flag-unknown');
        expectProblem(await hand.perform({ uri: 'exec:cat' }), 422, 'invalid-argument');
        // Begin's own cookie names no stream, and comes from this very host.
        expectProblem(await hand.perform({ cookie: hand.begun.cookie }), 422, 'same-host');
        for (const [what, status, code, change] of [...cookieFaults, ...sameHostFaults(hostName, hostUuid)]) {
          const answer = await hand.perform({ cookie: change(hand.prepared.cookie) });
          expect.soft([what, answer.body.code]).toEqual([what, code]);
          expectProblem(answer, status, code);
        }
      });
      await hand.giveUp();
    }));

  it('S1: of a migration that was cancelled; no job is left', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare');
      expect((await hand.cancel()).status).toBe(202);
      expectProblem(await hand.perform(), 409, 'migration-aborted');
      await hand.giveUp();
    }));
});

describe('Finish and Confirm are refused before anything happens', () => {
  it('threat 9: Finish without the permit or with a wrong one; the right one still counts', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare');
      const cookieOf = (permit: string) =>
        changedCookie(hand.begun.cookie, (text) =>
          text
            .replace(/<feature.*\n/, '')
            .replace(/<lockstate[\s\S]*<\/lockstate>\s*/, '')
            .replace(/<permitDigest>.*<\/permitDigest>/, permit),
        );
      await expectUntouched(world, async () => {
        expectProblem(await hand.finish({ cookie: '' }), 422, 'cookie-malformed');
        expectProblem(await hand.finish({ cookie: cookieOf('') }), 403, 'permit-invalid');
        expectProblem(await hand.finish({ cookie: cookieOf(`<permit>${nonce}</permit>`) }), 403, 'permit-invalid');
        expectProblem(await hand.finish({ flags: ['LIVELY'] }), 422, 'flag-unknown');
        expectProblem(await hand.finish({ cookie: '***', cancelled: true }), 422, 'cookie-malformed');
      });
      const answer = await hand.perform();
      expect(answer.status, JSON.stringify(answer.body)).toBe(200);
      hand.performed = answer.body as unknown as typeof hand.performed;
      expectProblem(await hand.finish({ cookie: cookieOf(`<permit>${nonce}</permit>`) }), 403, 'permit-invalid');
      const finished = await hand.finish();
      expect([finished.status, finished.body.outcome]).toEqual([200, 'committed']);
      expect((await hand.confirm({ cookie: finished.body.cookie })).body).toMatchObject({
        outcome: 'committed',
        state: 'SUCCEEDED',
      });
      world.here = world.there;
    }));

  it('Finish of a key never seen: a tombstone, and its late Prepare is refused', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      expectProblem(await hand.finish(), 409, 'migration-aborted');
      expectProblem(await ask(hand.destination, `/v1/migrations/${hand.id}`, { method: 'GET' }), 404, 'migration-not-found');
      await expectUntouched(world, async () => expectProblem(await hand.prepare(), 409, 'migration-aborted'));
      const cancelled = await new ByHand(world).finish({ cancelled: true });
      expect([cancelled.status, cancelled.body.outcome]).toEqual([200, 'aborted']);
      await hand.giveUp();
    }));

  it('threat 9: Confirm of another nonce, of an unknown id, with a cookie of another migration', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare');
      await expectUntouched(world, async () => {
        expectProblem(await hand.confirm({ nonce }), 409, 'step-mismatch');
        expectProblem(await new ByHand(world).confirm(), 404, 'migration-not-found');
        expectProblem(await hand.confirm({ cookie: '***' }), 422, 'cookie-malformed');
        expectProblem(await hand.confirm({ flags: ['LIVELY'] }), 422, 'flag-unknown');
        const other = changedCookie(hand.prepared.cookie, (text) => text.replace(hand.id, 'other'));
        expectProblem(await hand.confirm({ cookie: other }), 422, 'cookie-mismatch');
      });
      await hand.giveUp();
    }));
});

it('threat 9: no cookie of an earlier migration of the same guest, and none of another step, is taken at any step', () =>
  inWorld(async (world) => {
    const earlier = await new ByHand(world).upTo('perform');
    await earlier.giveUp();
    const hand = await new ByHand(world).upTo('begin');
    const replayed = [earlier.begun, earlier.prepared, earlier.performed].map(({ cookie }) => cookie);
    await expectUntouched(world, async () => {
      for (const cookie of replayed) expectRefused(await hand.prepare({ cookie }));
    });
    hand.prepared = (await hand.prepare()).body as unknown as typeof hand.prepared;
    await expectUntouched(world, async () => {
      for (const cookie of [...replayed, hand.begun.cookie]) expectRefused(await hand.perform({ cookie }));
      for (const cookie of [...replayed, hand.begun.cookie, hand.prepared.cookie]) expectRefused(await hand.finish({ cookie }));
    });
    await hand.giveUp();
  }));

/** Whatever it is that is wrong with it, it is told of a cookie. */
function expectRefused({ status, body }: Answer): void {
  expect([403, 422], JSON.stringify(body)).toContain(status);
  expect(body.code).toMatch(/^(cookie-mismatch|cookie-malformed|cookie-feature-unsupported|same-host|permit-invalid)$/);
}

describe('the questions of the agents', () => {
  it('of another store get no answer, and leave nothing', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare');
      const question = { nonce: hand.begun.nonce, storeId: nonce };
      await expectUntouched(world, async () => {
        const outcome = await ask(hand.destination, `/v1/migrations/${hand.id}/outcome`, {
          body: { ...question, abortUnlessCommitted: true },
        });
        expect([outcome.status, outcome.body.answer]).toEqual([200, 'unknown']);
        const evidence = await ask(hand.source, `/v1/migrations/${hand.id}/evidence`, { body: question });
        expect([evidence.status, evidence.body.guest, evidence.body.permit]).toEqual([200, 'unknown', null]);
        const acknowledged = await ask(hand.destination, `/v1/migrations/${hand.id}/acknowledge`, { body: question });
        expect(acknowledged.status).toBe(204);
      });
      await hand.giveUp();
    }));

  it('a hint of an adoption that is none, and a resolve of what is not held', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare');
      const { uuid } = world;
      await expectUntouched(world, async () => {
        const hint = (id: string) => ask(hand.source, '/v1/adoptions', { body: { uuid, migration: { id, nonce } } });
        expectProblem(await hint('../../etc/passwd'), 422, 'invalid-argument');
        expect((await hint('never')).body).toEqual({ adopted: false });
        const resolve = (keep: unknown) =>
          ask(hand.destination, `/v1/migrations/${hand.id}/resolve`, { body: { keep, proof: 'fenced by hand' } });
        expectProblem(await resolve('both'), 422, 'invalid-argument');
        expectProblem(await resolve('destination'), 409, 'past-point-of-no-return');
      });
      await hand.giveUp();
    }));
});
