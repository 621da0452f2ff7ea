import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { processesOf } from '@vmferry/lab';
import { sleep, systemClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { expectTidy } from '../checks/expect-settled.js';
import { ask } from '../steps/ask.js';
import { ByHand } from '../steps/by-hand.js';
import { eventually } from '../world/eventually.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const inWorld = sharedWorld();
const sessionAt = async (base: string): Promise<string> =>
  (await ask(base, '/v1/sessions', { body: { ttlSeconds: 60 } })).body.id as string;
const end = (base: string, session: string) => ask(base, `/v1/sessions/${session}`, { method: 'DELETE' });
const auditOf = (world: World) => readFileSync(join(world.there.stateDir, 'destination-agent.audit'), 'utf8');

describe('a guest that comes in is tied to the session of Prepare', () => {
  it('S18: the session ends between Prepare and Finish: the target is destroyed at once, and the guest runs on at the source', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      const session = await sessionAt(hand.destination);
      expect((await hand.prepare({ session })).status).toBe(200);
      const source = await world.qemuOn(world.here);
      const [target] = processesOf(world.uuid).filter((pid) => pid !== source);
      await end(hand.destination, session);
      await eventually(() => expect(processesOf(world.uuid)).toEqual([source]));
      const stopped = new RegExp(`success=yes .*op=stop reason=destroyed .*uuid=${world.uuid} vm-pid=${target} `);
      await eventually(() => expect(auditOf(world)).toMatch(stopped));
      await hand.giveUp();
      await expectTidy(world, true);
    }));

  it('S18: after Finish it ends nothing any more', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('begin');
      const session = await sessionAt(hand.destination);
      hand.prepared = (await hand.prepare({ session })).body as unknown as typeof hand.prepared;
      hand.performed = (await hand.perform()).body as unknown as typeof hand.performed;
      expect((await hand.finish()).body.outcome).toBe('committed');
      await end(hand.destination, session);
      expect((await hand.confirm()).body.outcome).toBe('committed');
      world.here = world.there;
      await world.moreTicks();
      await expectTidy(world, true);
    }));
});

it('S17: a guest with autodestroy lives on when its agent is started anew, and says so', () =>
  inWorld(async (world) => {
    const uuid = '5a5a5a5a-0000-4000-8000-000000000017';
    const agent = () => world.a.sourceClient();
    const os = "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><memballoon model='none'/></devices>";
    const xml = `<domain type='qemu'><name>tied</name><uuid>${uuid}</uuid><memory unit='KiB'>4096</memory><vcpu>1</vcpu>${os}</domain>`;
    const { id } = await agent().createSession({ ttlSeconds: 1 });
    const tied = await agent().createDomain({ xml, transient: true, autodestroy: id });
    expect(tied).toMatchObject({ state: 'running', autodestroy: true });
    await world.a.source.kill();
    await world.a.source.start();
    // Longer than the session could have lived: an absence cannot be waited for.
    await sleep(systemClock, 1_500);
    expect(await agent().domain(uuid)).toEqual({ ...tied, autodestroy: false });
    await agent().destroy(uuid);
    await eventually(() => expect(processesOf(uuid)).toEqual([]));
  }));
