import { TestAuthority } from '@vmferry/tls/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { ask, expectProblem } from '../steps/ask.js';
import { expectUntouched } from '../steps/untouched.js';
import { migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import { World } from '../world/world.js';

const authority = new TestAuthority();
afterAll(() => authority.remove());

const hostWith = (relay: 'relay' | 'client') => ({ relay: authority.issue([relay]), agents: authority.issue(['agent']) });

describe('a tunnel between relays with certificates (threats 4, 5 and 8)', () => {
  const inWorld = sharedWorld({ certificates: { a: hostWith('relay'), b: hostWith('relay') } });

  it.each(['p2p-tunnelled', 'managed-tunnelled'] as const)('%s: the guest goes there and back, over TLS', (mode) =>
    inWorld(async (world) => {
      const relays = [world.here, world.there].map((host) => host.relayClient());
      await expectSettled(world, migrate(world, { mode }), 'destination');
      await expectSettled(world, migrate(world, { mode }), 'destination');
      for (const relay of relays) {
        expect(relay.baseUrl).toMatch(/^https:/);
        const { streams } = await relay.streams();
        expect(streams.slice(-2).map(({ state, path }) => [state, path])).toEqual([
          ['closed', 'tls'],
          ['closed', 'tls'],
        ]);
      }
    }),
  );
});

describe('a tunnel to a relay whose certificate is of another role', () => {
  it.each(['p2p-tunnelled', 'managed-tunnelled'] as const)('%s: certificate-refused, and the guest runs on', async (mode) => {
    const world = await World.open({ certificates: { a: hostWith('relay'), b: hostWith('client') } });
    const run = migrate(world, { mode });
    const error = await run.driven;
    const { source } = await expectSettled(world, run, 'source');
    expect(source).toMatchObject({ error: { code: 'certificate-refused', detail: expect.stringMatching(/not of a relay/) } });
    if (mode === 'managed-tunnelled') expect(error?.code).toBe('certificate-refused');
    await world.close({ keep: false });
  });
});

describe.each(['a', 'b'] as const)('a tunnel of which the relay of host-%s alone has a certificate', (secure) => {
  it('is foreseen by the check, and refused before anything happens', async () => {
    const world = await World.open({ certificates: { [secure]: hostWith('relay') } });
    const body = { domain: world.name, destination: world.there.destination.url, flags: ['LIVE', 'TUNNELLED'] };
    await expectUntouched(world, async () => {
      const told = await world.here.sourceClient().checkMigration(body);
      expect(told.blockers).toMatchObject([
        { side: 'source', code: 'tls-unavailable', detail: expect.stringMatching(/--tls-cert/) },
      ]);
      expectProblem(await ask(world.here.source.url, '/v1/migrations', { body }), 422, 'tls-unavailable');
      expect(await migrate(world, { mode: 'managed-tunnelled' }).driven).toMatchObject({ code: 'tls-unavailable' });
      expect((await world.here.sourceClient().checkMigration({ ...body, flags: ['LIVE'] })).ok).toBe(true);
    });
    await expectSettled(world, migrate(world, { mode: 'p2p-direct' }), 'destination');
    await world.close({ keep: false });
  });
});
