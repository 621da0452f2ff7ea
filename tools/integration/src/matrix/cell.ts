import { VmferryError } from '@vmferry/errors';
import type { Host } from '@vmferry/lab';
import { expect } from 'vitest';
import { auditOf } from '../checks/audit.js';
import { expectTidy } from '../checks/expect-settled.js';
import { expectOneLife } from '../checks/life.js';
import { configurationOn, keptOf } from '../checks/on-disk.js';
import { untilSettled } from '../checks/resources.js';
import { eventually } from '../world/eventually.js';
import { type Mode, migrate, type Run } from '../world/run.js';
import type { World } from '../world/world.js';
import { type Outcome, outcomeOf, type Row } from './rows.js';

/** One cell of the matrix: the guest goes over from where it is, and everything that the row promises is looked at. It runs on afterwards. */
export async function expectCell(world: World, mode: Mode, row: Row): Promise<void> {
  await arrange(world, row);
  const outcome = outcomeOf(row);
  const [from, to] = [world.here, world.there];
  const kept = outcome.configHere ? await configurationOn(world, from) : null;
  const qemu = await world.qemuOn(from);
  const run = migrate(world, { mode, flags: [row.flag] });
  expect(await run.driven, 'the error of the driver').toBeNull();
  await expectSucceeded(run);
  world.here = to;
  await expectSource(world, from, qemu, kept);
  await expectTarget(world, run, outcome);
  await expectGuest(world, outcome);
  await expectTidy(world, true);
}

/** The guest runs on one of the hosts: what the row says of it and of the configurations is made so. */
async function arrange(world: World, { guest, source, configThere }: Row): Promise<void> {
  await arrangeConfiguration(world, world.here, source === 'persistent');
  await arrangeConfiguration(world, world.there, configThere);
  if (guest === 'paused') await world.here.sourceClient().suspend(world.uuid);
}

async function arrangeConfiguration(world: World, host: Host, wanted: boolean): Promise<void> {
  if (wanted) await host.sourceClient().createDomain({ xml: earlierConfiguration(world) });
  else if ((await configurationOn(world, host)) !== null) await host.sourceClient().undefineDomain(world.uuid);
}

async function expectSucceeded(run: Run): Promise<void> {
  const source = await untilSettled(run.from.sourceClient(), run.id);
  expect(source).toMatchObject({ state: 'SUCCEEDED', outcome: 'committed', error: null, guest: { runningOn: 'destination' } });
  const destination = await untilSettled(run.to.destinationClient(), run.id);
  expect(destination).toMatchObject({ state: 'SUCCEEDED', outcome: 'committed', error: null, held: null });
}

/** A persistent domain is shut off there, its configuration as it was; a transient or undefined one is gone. */
async function expectSource(world: World, from: Host, qemu: number, kept: string | null): Promise<void> {
  expect(await configurationOn(world, from), 'the configuration on the source').toBe(kept);
  expect(await auditOf(world, from, qemu), 'the audit of the source').toEqual([
    expect.stringMatching(/^start /),
    'stop migrated',
  ]);
  const left = from.sourceClient().domain(world.uuid);
  if (kept === null) await expect(left).rejects.toSatisfy((thrown) => VmferryError.is(thrown, 'domain-not-found'));
  else expect(await left).toMatchObject({ state: 'shutoff', reason: 'migrated', persistent: true, pid: null, job: null });
}

/** What it has on disk is what Prepare has validated, byte for byte, in the place of any configuration that was there. */
async function expectTarget(world: World, run: Run, { guest, configThere }: Outcome): Promise<void> {
  const client = run.to.sourceClient();
  const arrived = await eventually(() => client.domain(world.uuid), 5_000);
  const reason = guest === 'paused' ? 'user' : 'migrated';
  expect(arrived).toMatchObject({ state: guest, reason, persistent: configThere, job: null, migrationId: null });
  // The definition that Prepare has checked and started the guest from.
  const validated = (await keptOf(run.to, run.id, 'incoming')).domain.xml;
  expect((await client.domainXml(world.uuid)).xml, 'the live definition on the target').toBe(validated);
  expect(await configurationOn(world, run.to), 'the configuration on the target').toBe(configThere ? validated : null);
  expect(await auditOf(world, run.to, await world.qemuOn(run.to)), 'the audit of the target').toEqual(['start migrated']);
}

/** It has run on, or stands still until its user lets it go on; its memory is right and no tick is lost or doubled either way. */
async function expectGuest(world: World, { guest }: Outcome): Promise<void> {
  if (guest === 'paused') {
    const arrived = world.serialConnections - 1;
    expect(
      world.ticks.filter(({ connection }) => connection === arrived),
      'ticks of a guest that is paused',
    ).toEqual([]);
    await world.here.sourceClient().resume(world.uuid);
  }
  await world.moreTicks();
  expectOneLife(world);
}

/** Another configuration of the same domain, which can be told from any that the product writes. */
function earlierConfiguration(world: World): string {
  return world.xml.replace('<memory', '<description>of before</description><memory');
}
