import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { expectProblem } from '../steps/ask.js';
import { ByHand, changedCookie } from '../steps/by-hand.js';
import { expectUntouched } from '../steps/untouched.js';
import { migrate, modes } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';

const inWorld = sharedWorld();

/** Another name of this machine, as a migration network has one; the agents call themselves 127.0.0.1. */
const uri = 'http://localhost';

describe('S32: the stream of a migration', () => {
  it.each(modes)('%s: goes by the name that its caller gave, at an address that is listened on', (mode) =>
    inWorld(async (world) => {
      await expectSettled(world, migrate(world, { mode, uri, listenAddress: '127.0.0.1' }), 'destination');
      const log = world.here.destination.lastLife();
      expect(
        log
          .split('\n')
          .filter((line) => line.includes('"message":"prepare'))
          .at(-1),
      ).toContain(`"uri":"${uri}"`);
    }),
  );

  it('Prepare answers with the whole address on that name; Perform takes that one, and refuses every other', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      const prepared = await hand.prepare({ uri });
      expect(prepared.status, JSON.stringify(prepared.body)).toBe(200);
      const { port } = new URL(world.there.destination.url);
      const stream = `${uri}:${port}/v1/migrations/${hand.id}/stream`;
      expect(prepared.body.uri).toBe(stream);
      hand.prepared = prepared.body as unknown as typeof hand.prepared;
      await expectUntouched(world, async () => {
        for (const wrong of [
          world.there.destination.url,
          `${uri}:${port}/v1/migrations/other/stream`,
          'exec:/bin/sh -c true',
          'fd:7',
          'unix:/run/x',
          `tcp:127.0.0.1:${port}`,
          stream.replace('localhost', '169.254.169.254'),
          stream.replace('localhost', '[::ffff:127.0.0.1]'),
          stream.replace('http:', 'https:'),
          `${stream}\r\nHost: evil`,
        ])
          expectProblem(await hand.perform({ uri: wrong }), 422, 'invalid-argument');
        expectProblem(await hand.perform({ destination: world.there.destination.url }), 422, 'invalid-argument');
        const forged = (to: string) =>
          changedCookie(hand.prepared.cookie, (text) => text.replace(/stream url='[^']*'/, `stream url='${to}'`));
        for (const wrong of ['http://169.254.169.254/latest/meta-data', 'http://0.0.0.0/v1/streams/x/attach'])
          expectProblem(await hand.perform({ cookie: forged(wrong) }), 422, 'cookie-malformed');
      });
      expect((await hand.perform({ uri: stream })).status).toBe(200);
      await hand.giveUp();
    }));

  it('S7: each step has logged its flags in hex', () =>
    inWorld(async (world) => {
      const [from, to] = [world.here, world.there];
      await expectSettled(world, migrate(world, { mode: 'managed-direct' }), 'destination');
      const logged = (text: string, step: string) =>
        text
          .split('\n')
          .filter((line) => line.includes(`"message":"${step}"`))
          .at(-1);
      for (const step of ['begin', 'perform', 'confirm']) expect(logged(from.source.lastLife(), step)).toMatch(/"flags":"0x101"/);
      for (const step of ['prepare', 'finish']) expect(logged(to.destination.lastLife(), step)).toMatch(/"flags":"0x1"/);
    }));
});
