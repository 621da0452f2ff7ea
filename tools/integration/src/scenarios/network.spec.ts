import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { untilStreaming } from '../checks/resources.js';
import { ask } from '../steps/ask.js';
import { eventually } from '../world/eventually.js';
import { guestAddress, guestMac, Lan, lanForbidden, networksOf, type PingStream } from '../world/lan.js';
import { endless, type Mode, migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { expectPersistRefused } from './failed-finish.js';

/*
 * A guest with a virtio network interface on a real network: two hosts at a switch, and a station outside. What is measured is told, and not held
 * against a figure: the machine emulates the guest, and both hosts.
 */

const forbidden = lanForbidden();
if (forbidden !== null) process.stderr.write(`SKIPPED: the suites of networks, for on this machine ${forbidden}.\n`);

describe.skipIf(forbidden !== null)(forbidden === null ? 'networks' : `networks: SKIPPED, ${forbidden}`, () => {
  let lan: Lan;
  beforeAll(() => {
    lan = new Lan();
  });
  afterAll(() => lan.close());

  describe.each(['lan', 'direct'])('a guest on the network %s', (network) => {
    const inWorld = sharedWorld({
      linuxFilledMib: 8,
      network: {
        interfaceXml: `<interface type='network'><mac address='${guestMac}'/><source network='${network}'/><model type='virtio'/></interface>`,
        address: `${guestAddress}/24`,
      },
      hosts: { a: { network: networksOf('a') }, b: { network: networksOf('b') } },
    });

    async function pinged(act: (stream: PingStream) => Promise<void>): Promise<void> {
      const stream = lan.ping();
      try {
        await answered(stream);
        await act(stream);
        await answered(stream);
      } finally {
        stream.end();
      }
    }

    it.each<Mode>(['p2p-tunnelled', 'managed-direct'])('answers from outside before, during and after a migration: %s', (mode) =>
      inWorld((world) =>
        pinged(async (stream) => {
          const from = stream.replies.length;
          const { source } = await expectSettled(world, migrate(world, { mode }), 'destination');
          await answered(stream);
          expect(lan.moves.at(-1), 'the switch has learned where the guest is').toBe(sideOf(world));
          expect(lan.devicesOfGuests(), 'of the host that it has left nothing is there').toHaveLength(1);
          const { actualMs = null, announcedMs = null } = source?.progress?.downtime ?? {};
          expect(announcedMs, 'the time to the first announced frame').not.toBeNull();
          expect(announcedMs).toBeGreaterThanOrEqual(actualMs ?? Number.POSITIVE_INFINITY);
          const { lost, silentMs } = stream.lossSince(from);
          process.stdout.write(
            `network ${network}, ${mode}: downtime ${actualMs} ms, announced after ${announcedMs} ms; seen from outside: ${silentMs} ms of silence, ${lost} pings lost\n`,
          );
        }),
      ),
    );

    it('is announced at its source again when its Finish has failed, without a word of its own', () =>
      inWorld(async (world) => {
        // One that has just been booted has not been announced, and says nothing by itself.
        await world.here.sourceClient().destroy(world.name);
        await world.boot();
        lan.forgetGuest();
        await expectPersistRefused(world, 'p2p-direct');
        await eventually(() => expect(lan.moves.at(-1)).toBe(sideOf(world)));
        expect(lan.devicesOfGuests()).toHaveLength(1);
        await pinged(async () => undefined);
      }));

    it('leaves no device of a destination whose agent was killed while it started QEMU', () =>
      inWorld(async (world) => {
        await world.arm(world.there.destination, 'D5=kill');
        const run = migrate(world, { mode: 'p2p-direct' });
        await world.there.destination.exited;
        await world.supervise();
        await expectSettled(world, run, 'source');
        expect(lan.devicesOfGuests()).toHaveLength(1);
        await pinged(async () => undefined);
      }));

    it('is told by a check, and refused by a Prepare, before anything is made on a host whose network is not there', () =>
      inWorld(async (world) => {
        const side = sideOf(world) === 'a' ? 'b' : 'a';
        const missing = `${network === 'lan' ? 'br' : 'nic-'}${side}`;
        lan.rename(missing, 'away');
        try {
          const body = { domain: world.name, destination: world.there.destination.url, flags: ['LIVE'] };
          const told = await ask(world.here.source.url, '/v1/migrations/check', { body });
          const detail = expect.stringContaining(missing) as string;
          expect(told.body).toMatchObject({ blockers: [{ code: 'network-unavailable', side: 'destination', detail }] });
          const { source } = await expectSettled(world, migrate(world, { mode: 'p2p-direct' }), 'source');
          expect(source?.error).toMatchObject({ code: 'network-unavailable', side: 'destination', phase: 'prepare' });
          expect(lan.devicesOfGuests()).toHaveLength(1);
        } finally {
          lan.rename('away', missing);
        }
      }));

    it.runIf(network === 'direct')('stays at its source when it cannot go online at its Finish', () =>
      inWorld(async (world) => {
        const before = lan.devicesOfGuests();
        const run = migrate(world, { mode: 'p2p-direct', ...endless });
        await untilStreaming(run);
        for (const device of lan.devicesOfGuests()) if (!before.includes(device)) lan.remove(device);
        await run.from.sourceClient().setParameters(run.id, { bandwidthMibPerSec: 1_024, downtimeMsMax: 300 });
        const { source } = await expectSettled(world, run, 'source');
        expect(source?.error).toMatchObject({ code: 'network-unavailable', side: 'destination', phase: 'finish' });
        await pinged(async () => expect(lan.devicesOfGuests()).toEqual(before));
      }),
    );

    it('leaves no device of a start that its agent did not survive', () =>
      inWorld(async (world) => {
        await world.here.sourceClient().destroy(world.name);
        await world.arm(world.a.source, 'D5=kill');
        await expect(world.a.sourceClient().start(world.name)).rejects.toThrow();
        await world.a.source.exited;
        await world.supervise();
        await eventually(() => expect(lan.devicesOfGuests()).toEqual([]));
        await world.boot();
        await pinged(async () => undefined);
      }));
  });
});

function sideOf(world: World): 'a' | 'b' {
  return world.here === world.a ? 'a' : 'b';
}

/** Ten more replies have come. */
async function answered(stream: PingStream): Promise<void> {
  const from = stream.replies.length;
  await eventually(() => expect(stream.replies.length, 'the guest answers').toBeGreaterThan(from + 10));
}
