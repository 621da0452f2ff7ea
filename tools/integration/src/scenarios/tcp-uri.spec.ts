import { createConnection } from 'node:net';
import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { ask, expectProblem } from '../steps/ask.js';
import { ByHand } from '../steps/by-hand.js';
import { expectUntouched } from '../steps/untouched.js';
import { eventually } from '../world/eventually.js';
import { expectFree, occupy, vacate } from '../world/ports.js';
import { endless, migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

/** Each host has two, outside of the range that the kernel hands out. */
const [first, second] = [23_152, 23_153] as const;
const permitted = { migrationPorts: `${first}-${second}`, insecureMigrationPorts: true };
const inWorld = sharedWorld({ hosts: { a: permitted, b: permitted } });
const modes = ['p2p-direct', 'managed-direct'] as const;
const portsGivenBack = () => Promise.all([expectFree(first), expectFree(second)]);

describe('S32: a migration by a tcp: URI', () => {
  it.each(
    modes.flatMap((mode) => ['tcp:127.0.0.1', `tcp:127.0.0.1:${second}`, 'tcp://localhost'].map((uri) => [mode, uri] as const)),
  )('%s: %s: QEMU listens on a port of the range, and the port is given back', (mode, uri) =>
    inWorld(async (world) => {
      await expectSettled(world, migrate(world, { mode, uri, listenAddress: '127.0.0.1' }), 'destination');
      await portsGivenBack();
    }),
  );

  it('Prepare answers with the port, and QEMU listens there; Perform takes that port alone, at any name of the host', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      const prepared = await hand.prepare({ uri: `tcp://127.0.0.1:${second}` });
      expect(prepared.body.uri, JSON.stringify(prepared.body)).toBe(`tcp:127.0.0.1:${second}`);
      hand.prepared = prepared.body as unknown as typeof hand.prepared;
      await expect(expectFree(second)).rejects.toThrow(/EADDRINUSE/);
      await expectUntouched(world, async () => {
        for (const uri of [
          `tcp:127.0.0.1:${first}`,
          'tcp:127.0.0.1',
          `tcp:169.254.169.254:${second}`,
          world.there.destination.url,
        ])
          expectProblem(await hand.perform({ uri }), 422, 'invalid-argument');
      });
      expect((await hand.perform({ uri: `tcp:localhost:${second}` })).status).toBe(200);
      await hand.giveUp();
      await portsGivenBack();
    }));

  it('a port that something else has is passed over; one that was asked for by number is refused, and so is a range that is used up', () =>
    inWorld(async (world) => {
      const other = await occupy(first);
      await expectSettled(world, migrate(world, { mode: 'p2p-direct', uri: 'tcp:127.0.0.1' }), 'destination');
      const third = await occupy(second);
      const hand = await new ByHand(world).upTo('begin');
      await expectUntouched(world, async () => {
        for (const uri of ['tcp:127.0.0.1', `tcp:127.0.0.1:${first}`])
          expectProblem(await hand.prepare({ uri }), 409, 'port-busy');
      });
      await vacate(other);
      await vacate(third);
      await hand.giveUp();
    }));

  it.each([
    ['a port out of the range', `tcp:127.0.0.1:${second + 1}`],
    ['a port that is none', 'tcp:127.0.0.1:0'],
    ['options behind the port', `tcp:127.0.0.1:${first},to=9`],
  ])('%s is refused before anything happens', (_what, uri) =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      await expectUntouched(world, async () => {
        expectProblem(await hand.prepare({ uri }), 422, 'invalid-argument');
      });
      await hand.giveUp();
    }),
  );

  it('a host at which QEMU does not listen: stream-failed, the guest runs on', () =>
    inWorld(async (world) => {
      const { source } = await expectSettled(world, migrate(world, { mode: 'p2p-direct', uri: 'tcp:127.0.0.2' }), 'source');
      expect(source?.error).toMatchObject({ code: 'stream-failed', detail: expect.stringMatching(/ECONNREFUSED/) as string });
      await portsGivenBack();
    }));

  it('a source that never connects: given up after the time for it, by name, and the port with it', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      expect((await hand.prepare({ uri: 'tcp:127.0.0.1' })).status).toBe(200);
      const { error } = await untilOver(world, hand.id);
      expect(error).toMatchObject({ code: 'stream-silent' });
      await hand.giveUp();
      await portsGivenBack();
    }));

  it('an agent that is killed while QEMU listens, and comes back: QEMU and its port are gone', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      expect((await hand.prepare({ uri: 'tcp:127.0.0.1' })).status).toBe(200);
      await world.there.destination.kill();
      await world.there.destination.start();
      await eventually(portsGivenBack);
      await hand.giveUp();
    }));

  it("a source that falls silent in the middle: noticed by the destination, though the connection is QEMU's alone", () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'p2p-direct', uri: 'tcp:127.0.0.1', ...endless });
      await eventually(async () => {
        expect((await world.there.destinationClient().migration(run.id)).phase).toBe('perform');
      });
      const qemu = await world.qemuOn(world.here);
      process.kill(qemu, 'SIGSTOP');
      try {
        expect((await untilOver(world, run.id)).error).toMatchObject({ code: 'stream-silent' });
      } finally {
        process.kill(qemu, 'SIGCONT');
      }
      await expectSettled(world, run, 'source');
      await portsGivenBack();
    }));

  it('a stranger who connects first, with something else than a guest, ends the migration: the guest runs on', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      hand.prepared = (await hand.prepare({ uri: `tcp:127.0.0.1:${first}` })).body as unknown as typeof hand.prepared;
      createConnection({ port: first, host: '127.0.0.1' })
        .end('GET / HTTP/1.1\r\n\r\n')
        .on('error', () => undefined);
      const { error } = await untilOver(world, hand.id);
      expect(error).toMatchObject({ code: 'stream-failed', detail: expect.stringMatching(/Not a migration stream/) as string });
      expectProblem(await hand.perform({ uri: `tcp:127.0.0.1:${first}` }), 409, 'migration-aborted');
      await hand.giveUp();
      await portsGivenBack();
    }));
});

/** What the destination tells of a migration that has come to its end there. */
async function untilOver({ there }: World, id: string) {
  return eventually(async () => {
    const told = await there.destinationClient().migration(id);
    expect(told.finishedAt).not.toBeNull();
    return told;
  });
}

describe('a tcp: URI where it is not permitted', () => {
  const asks = { a: { migrationPorts: `${first}-${second}` }, b: {} };
  const inStrict = sharedWorld({ hosts: asks });

  it('is refused by Prepare, by the request for a migration and by the check: without TLS, and by a host without ports', () =>
    inStrict(async (world) => {
      for (const [there, code, status] of [
        [world.b, 'invalid-argument', 422],
        [world.a, 'insecure-refused', 403],
      ] as const) {
        if (world.there !== there) await expectSettled(world, migrate(world, { mode: 'p2p-direct' }), 'destination');
        const hand = await new ByHand(world).upTo('begin');
        await expectUntouched(world, async () => {
          expectProblem(await hand.prepare({ uri: 'tcp:127.0.0.1' }), status, code);
        });
        await hand.giveUp();
        const body = { domain: world.name, destination: there.destination.url, uri: 'tcp:127.0.0.1', flags: ['LIVE'] };
        await expectUntouched(world, async () => {
          expectProblem(await ask(world.here.source.url, '/v1/migrations', { body }), status, code);
          const told = await world.here.sourceClient().checkMigration(body);
          expect(told.blockers).toMatchObject([{ side: 'destination', code }]);
        });
      }
    }));
});
