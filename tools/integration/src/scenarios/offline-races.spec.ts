import { randomUUID } from 'node:crypto';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from '@vmferry/lab';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { eventually } from '../world/eventually.js';
import { type Defined, OfflineHosts, offline } from './offline-hosts.js';

let hosts: OfflineHosts;
beforeAll(async () => {
  hosts = await OfflineHosts.open();
});
/** A case that failed has not brought back what it has killed. */
afterEach(async () => {
  for (const app of [hosts.a, hosts.b].flatMap(({ apps }) => apps)) if (!app.running) await app.start();
});
afterAll(() => hosts.close());

const undefining = [...offline, 'UNDEFINE_SOURCE'];
const edited = ({ xml }: Defined) => xml.replace('</name>', '</name><title>edited</title>');
const onDisk = (host: Host, { uuid }: Defined) =>
  readFile(join(host.stateDir, 'domains', `${uuid}.xml`), 'utf8').catch(() => null);

/** The steps of a driver up to Perform, whose cookie has the permit. */
async function permitted({ uuid }: Defined) {
  const [source, destination] = [hosts.a.sourceClient(), hosts.b.destinationClient()];
  const id = randomUUID();
  const { nonce, flags, cookie, xml } = await source.begin(id, { domain: uuid, flags: undefining });
  const prepared = await destination.prepare(id, { nonce, flags, cookie, xml });
  const permit = (await source.perform(id, { nonce, flags, cookie: prepared.cookie })).cookie;
  return { id, nonce, flags, permit, source, destination };
}

/** The destination-agent of B dies at a point of its migration, and the source-agent there is started anew before it is back. */
async function arrivesHalfWay(point: string, domain: Defined): Promise<void> {
  await hosts.b.destination.kill();
  await hosts.b.destination.start(`${point}=kill`);
  await hosts.a
    .sourceClient()
    .migrate({ domain: domain.uuid, destination: hosts.b.destination.url, flags: undefining, id: randomUUID() });
  await hosts.b.destination.exited;
  await hosts.b.source.kill();
  await hosts.b.source.start();
}

it('I5: OFFLINE: a Finish beside an abort leaves nothing of an aborted migration behind, and what was there before stays', async () => {
  for (let round = 0; round < 12; round += 1) {
    const before = round % 2 === 0 ? null : await hosts.define(hosts.b, { memoryKib: 8_192 });
    const domain = await hosts.define(hosts.a, before ?? {});
    const wasThere = before === null ? null : await onDisk(hosts.b, before);
    const { id, nonce, flags, permit, source, destination } = await permitted(domain);
    const [, { outcome }] = await Promise.all([
      destination.finish(id, { nonce, flags, cookie: permit, cancelled: false }).catch((error: unknown) => error),
      source.confirm(id, { nonce, flags, cookie: '', cancelled: true }),
    ]);
    await hosts.ended(id);
    if (outcome === 'committed') await hosts.expectDefined(domain, 'destination');
    else if (before === null) await hosts.expectDefined(domain, 'source');
    else await eventually(async () => expect(await onDisk(hosts.b, domain)).toBe(wasThere));
  }
});

it.each(['removed', 'changed'] as const)(
  'I1: OFFLINE: a definition that was %s after it had arrived stays so when the destination-agent is back',
  async (what) => {
    const domain = await hosts.define();
    await arrivesHalfWay('D18', domain);
    const there = hosts.b.sourceClient();
    if (what === 'removed') await there.undefineDomain(domain.uuid);
    else await there.createDomain({ xml: edited(domain) });
    const kept = await onDisk(hosts.b, domain);
    await hosts.b.destination.start();
    await eventually(async () => {
      const { migrations } = await hosts.b.destinationClient().migrations();
      expect(migrations.find((migration) => migration.domain.uuid === domain.uuid)?.finishedAt).not.toBeNull();
    });
    expect(await onDisk(hosts.b, domain)).toBe(kept);
  },
);

it('I1: OFFLINE: what an undecided migration has written is not known before it is committed', async () => {
  const domain = await hosts.define();
  await arrivesHalfWay('D14', domain);
  await hosts.b.destination.start();
  await hosts.expectDefined(domain, 'source');
});

it('I12: OFFLINE: with a journal that cannot be read nobody starts, changes or removes the definition until it is mended', async () => {
  const domain = await hosts.define();
  const { id, nonce, flags, permit, destination } = await permitted(domain);
  await hosts.a.source.kill();
  await destination.finish(id, { nonce, flags, cookie: permit, cancelled: false });
  const folder = join(hosts.a.stateDir, 'migrations');
  const journal = join(folder, (await readdir(folder)).find((file) => file.includes(id)) ?? 'none');
  const whole = await readFile(journal);
  await truncate(journal, Math.floor(whole.length / 2));
  await hosts.a.source.start();
  const source = hosts.a.sourceClient();
  const inDoubt = { code: 'in-doubt' };
  await expect(source.start(domain.uuid, {})).rejects.toMatchObject(inDoubt);
  await expect(source.start(domain.uuid, { force: true })).rejects.toMatchObject(inDoubt);
  await expect(source.createDomain({ xml: edited(domain) })).rejects.toMatchObject(inDoubt);
  await expect(source.undefineDomain(domain.uuid)).rejects.toMatchObject(inDoubt);
  expect((await source.domain(domain.uuid)).warning).toMatch(/journal of migration/);
  await hosts.a.source.kill();
  await writeFile(journal, whole);
  await Promise.all((await readdir(folder)).filter((file) => file.includes('unreadable')).map((file) => rm(join(folder, file))));
  await hosts.a.source.start();
  await hosts.expectDefined(domain, 'destination');
});

it('OFFLINE: what is written beside Begin is moved, or Begin is refused; nothing that was taken is lost', async () => {
  for (let round = 0; round < 16; round += 1) {
    const domain = await hosts.define();
    const source = hosts.a.sourceClient();
    const id = randomUUID();
    const asked = { domain: domain.uuid, destination: hosts.b.destination.url, flags: undefining, id };
    const migrating = source.migrate(asked).then(
      () => true,
      () => false,
    );
    for (let turn = 0; turn < round * 4; turn += 1) await new Promise(setImmediate);
    const taken = await source.createDomain({ xml: edited(domain) }).then(
      () => true,
      () => false,
    );
    if (await migrating) await hosts.ended(id);
    const texts = [await onDisk(hosts.a, domain), await onDisk(hosts.b, domain)].filter((text) => text !== null);
    expect(texts.length, `round ${round}`).toBeGreaterThan(0);
    if (taken) expect(texts.some((text) => text.includes('edited'))).toBe(true);
  }
});

it('OFFLINE: a name is taken from Prepare on, and a definition that leaves is nobody’s until it has left', async () => {
  const domain = await hosts.define();
  const { id, nonce, flags, permit, source, destination } = await permitted(domain);
  const other = domain.xml.replaceAll(domain.uuid, randomUUID());
  await expect(hosts.b.sourceClient().createDomain({ xml: other })).rejects.toMatchObject({ code: 'in-doubt' });
  await expect(source.createDomain({ xml: edited(domain) })).rejects.toMatchObject({ code: 'already-migrating' });
  await destination.finish(id, { nonce, flags, cookie: permit, cancelled: false });
  await source.confirm(id, { nonce, flags, cookie: '', cancelled: false });
  await hosts.expectDefined(domain, 'destination');
});

it('OFFLINE in Begin and not in Prepare is a mistake that Prepare tells, and the other way round', async () => {
  const { uuid } = await hosts.define();
  const id = randomUUID();
  const { nonce, cookie, xml, flags } = await hosts.a.sourceClient().begin(id, { domain: uuid, flags: undefining });
  const prepare = hosts.b.destinationClient().prepare(id, { nonce, cookie, xml, flags: ['LIVE', 'PERSIST_DEST'] });
  await expect(prepare).rejects.toMatchObject({ code: 'step-mismatch' });
  await hosts.a.sourceClient().confirm(id, { nonce, flags, cookie: '', cancelled: true });
});
