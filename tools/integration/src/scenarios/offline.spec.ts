import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, expectProblem } from '../steps/ask.js';
import { everythingOf } from '../steps/untouched.js';
import { proxyTo } from '../world/proxy.js';
import { type Defined, driven, OfflineHosts, offline, type Where } from './offline-hosts.js';

let hosts: OfflineHosts;
beforeAll(async () => {
  hosts = await OfflineHosts.open();
});
afterAll(() => hosts.close());

const undefining = [...offline, 'UNDEFINE_SOURCE'];

describe.each(driven)('%s', (by) => {
  it('S31: OFFLINE: the definition goes over and can be started there; nothing runs, and the source keeps its own', async () => {
    const domain = await hosts.define();
    const before = await hosts.eventsOn(hosts.a, domain);
    const migration = await hosts.migrate(by, domain, { flags: ['LIVE', ...offline] });
    const detail = expect.stringMatching(/its definition is on .*, and on host-a still/) as string;
    expect(migration).toMatchObject({ state: 'SUCCEEDED', outcome: 'committed', error: null, progress: null });
    expect(migration.guest).toEqual({ runningOn: 'none', detail });
    await hosts.expectDefined(domain, 'both');
    expect((await hosts.b.sourceClient().domainXml(domain.uuid)).xml).toBe(domain.xml);
    expect(await hosts.eventsOn(hosts.a, domain)).toEqual(before);
    expect(await hosts.eventsOn(hosts.b, domain)).toEqual(['defined/added']);
    expect(await hosts.controls(domain)).toBe(0);
    await hosts.expectStarts(hosts.b, domain);
  });

  it('S31: OFFLINE with UNDEFINE_SOURCE: and is gone at the source; a definition that was there is updated, with another name it is added', async () => {
    const there = await hosts.define(hosts.b, { memoryKib: 8_192 });
    const domain = await hosts.define(hosts.a, { uuid: there.uuid, name: there.name });
    const destination = { runningOn: 'none', detail: expect.not.stringContaining('still') as string };
    expect((await hosts.migrate(by, domain, { flags: undefining })).guest).toEqual(destination);
    await hosts.expectDefined(domain, 'destination');
    expect(await hosts.eventsOn(hosts.a, domain)).toEqual(['defined/added', 'undefined/removed']);
    expect(await hosts.eventsOn(hosts.b, domain)).toEqual(['defined/added', 'defined/updated']);
    expect((await hosts.b.sourceClient().domain(domain.uuid)).memoryKib).toBe(4_096);
    const other = await hosts.define();
    const renamed = await hosts.migrate(by, other, { flags: undefining, destinationName: `${other.name}-there` });
    expect(renamed.state).toBe('SUCCEEDED');
    await hosts.expectDefined(other, 'destination');
    expect((await hosts.b.sourceClient().domain(other.uuid)).name).toBe(`${other.name}-there`);
  });

  it('S31: OFFLINE: a configuration that cannot be written at the destination fails it, and the source keeps its own', async () => {
    const domain = await hosts.define();
    // In the place of the file that is written before it is renamed.
    const inTheWay = join(hosts.b.stateDir, 'domains', `.${domain.uuid}.xml.${hosts.b.destination.pid}.tmp`);
    await mkdir(inTheWay);
    const migration = await hosts.migrate(by, domain, { flags: undefining });
    await rm(inTheWay, { recursive: true });
    expect(migration).toMatchObject({ state: 'FAILED', guest: { runningOn: 'none' }, outcome: 'aborted' });
    if (by === 'peer-to-peer') expect(migration.error).toMatchObject({ code: 'persist-failed', phase: 'finish' });
    await hosts.expectDefined(domain, 'source');
    await hosts.expectStarts(hosts.a, domain);
  });
});

/** Neither host has changed but for the records of what was asked. */
async function expectUnchanged(act: () => Promise<void>): Promise<void> {
  const everything = () => Promise.all([hosts.a, hosts.b].map((host) => everythingOf(host)));
  const before = await everything();
  await act();
  expect(await everything(), 'a refused request has changed something').toEqual(before);
}

const request = (domain: Defined, change: object = {}) => ({
  domain: domain.uuid,
  destination: hosts.b.destination.url,
  flags: offline,
  ...change,
});
const migrations = (body: object) => ask(hosts.a.source.url, '/v1/migrations', { body });

it('S31: OFFLINE beside what it is at odds with, and what else is refused before anything happens', async () => {
  const domain = await hosts.define();
  const different = domain.xml.replace("<memory unit='KiB'>4096", "<memory unit='KiB'>8192");
  const refusals: [object, number, string, RegExp][] = [
    [{ flags: ['OFFLINE'] }, 422, 'invalid-argument', /PERSIST_DEST/],
    [{ flags: [...offline, 'TUNNELLED'] }, 422, 'invalid-argument', /TUNNELLED/],
    [{ flags: [...offline, 'PAUSED'] }, 422, 'invalid-argument', /PAUSED/],
    [{ flags: [...offline, 'NON_SHARED_DISK'] }, 422, 'flag-unsupported', /storage is not copied/],
    [{ bandwidthMibPerSec: 8 }, 422, 'invalid-argument', /bandwidthMibPerSec/],
    [{ downtimeMsMax: 8 }, 422, 'invalid-argument', /downtimeMsMax/],
    [{ timeouts: { totalSeconds: 8 } }, 422, 'invalid-argument', /timeouts/],
    [{ uri: 'http://127.0.0.1:1' }, 422, 'invalid-argument', /uri/],
    [{ listenAddress: '127.0.0.1' }, 422, 'invalid-argument', /listenAddress/],
    [{ flags: ['LIVE', 'PERSIST_DEST'] }, 409, 'domain-not-running', /with OFFLINE and PERSIST_DEST its definition/],
    [{ destination: hosts.a.destination.url }, 422, 'same-host', /host-a/],
    [{ xml: different }, 422, 'abi-mismatch', /memory/],
  ];
  await expectUnchanged(async () => {
    for (const [change, status, code, words] of refusals) {
      const answer = await migrations(request(domain, change));
      expectProblem(answer, status, code);
      expect(answer.body.detail).toMatch(words);
    }
  });
  expect(different).not.toBe(domain.xml);
  const same = domain.xml.replace('</name>', '</name><title>another title</title>');
  expect(await hosts.migrate('peer-to-peer', domain, { xml: same })).toMatchObject({ state: 'SUCCEEDED' });
  expect((await hosts.b.sourceClient().domainXml(domain.uuid)).xml).toContain('another title');
});

it('S31: OFFLINE: an active domain is refused, at the source as at the destination, and so is a name that is taken there', async () => {
  const domain = await hosts.define();
  const [a, b] = [hosts.a.sourceClient(), hosts.b.sourceClient()];
  await a.start(domain.uuid, { paused: true });
  await expectUnchanged(async () => expectProblem(await migrations(request(domain)), 409, 'domain-running'));
  await a.destroy(domain.uuid);
  const xml = domain.xml.replace('</name>', '</name><title>there</title>');
  await b.createDomain({ xml, transient: true, paused: true });
  const active = await hosts.migrate('managed', domain, { flags: undefining });
  expect(active).toMatchObject({ state: 'FAILED' });
  const blocked = await a.checkMigration(request(domain));
  expect(blocked.blockers).toMatchObject([{ code: 'domain-exists', side: 'destination' }]);
  await b.destroy(domain.uuid);
  await hosts.expectDefined(domain, 'source');
  const rival = await hosts.define(hosts.b, { name: domain.name });
  const taken = await hosts.migrate('peer-to-peer', domain, { flags: undefining });
  expect(taken).toMatchObject({ state: 'FAILED', error: { code: 'domain-exists' } });
  await hosts.expectDefined(domain, 'source');
  await hosts.expectDefined(rival, 'destination');
});

it('S31: OFFLINE: a check finds nothing in the way, and nothing happens', async () => {
  const domain = await hosts.define();
  await expectUnchanged(async () => {
    const told = await hosts.a.sourceClient().checkMigration(request(domain));
    expect(told).toMatchObject({ ok: true, blockers: [], warnings: [], forecast: { downtimeMs: 0 } });
    const bare = await hosts.a.sourceClient().checkMigration(request(domain, { flags: ['OFFLINE'] }));
    expect(bare.blockers.map(({ side, code }) => `${side} ${code}`)).toEqual([
      'source invalid-argument',
      'destination invalid-argument',
    ]);
  });
});

it('S31: OFFLINE: until it is decided nobody starts, changes or migrates the domain; given up, it is as it was', async () => {
  const there = await hosts.define(hosts.b);
  const domain = await hosts.define(hosts.a, there);
  const [a, b] = [hosts.a.sourceClient(), hosts.b.sourceClient()];
  const id = randomUUID();
  const begun = await a.begin(id, { domain: domain.uuid, flags: offline });
  await expect(a.start(domain.uuid)).rejects.toMatchObject({ code: 'in-doubt' });
  await expect(a.undefineDomain(domain.uuid)).rejects.toMatchObject({ code: 'already-migrating' });
  await expect(a.createDomain({ xml: domain.xml })).rejects.toMatchObject({ code: 'already-migrating' });
  expectProblem(await migrations(request(domain)), 409, 'already-migrating');
  const { nonce, cookie, xml, flags } = begun;
  const prepared = await hosts.b.destinationClient().prepare(id, { nonce, cookie, xml, flags });
  expect(prepared.uri).toBeNull();
  await expect(b.start(domain.uuid)).rejects.toMatchObject({ code: 'in-doubt' });
  await expect(a.setParameters(id, { bandwidthMibPerSec: 1 })).rejects.toMatchObject({ code: 'not-migrating' });
  const performed = await a.perform(id, { nonce, cookie: prepared.cookie, flags });
  expect(performed.cookie).not.toBe('');
  expect((await a.domain(domain.uuid)).job).toMatchObject({ kind: 'migration-out' });
  const given = await hosts.b.destinationClient().finish(id, { nonce, cookie: '', flags, cancelled: true });
  expect(given.outcome).toBe('aborted');
  await a.confirm(id, { nonce, cookie: '', flags, cancelled: true });
  expect(await hosts.ended(id)).toMatchObject({ state: 'FAILED', outcome: 'aborted' });
  await hosts.expectDefined(domain, 'both');
  await hosts.expectStarts(hosts.a, domain);
  await hosts.expectStarts(hosts.b, domain);
});

it('OFFLINE: two hosts do not send each other one definition, which both could forget then', async () => {
  const there = await hosts.define(hosts.b);
  const domain = await hosts.define(hosts.a, there);
  const [a, b] = [hosts.a.sourceClient(), hosts.b.sourceClient()];
  const asked = { domain: domain.uuid, flags: undefining };
  const back = randomUUID();
  const { nonce, flags } = await b.begin(back, asked);
  const refused = await hosts.migrate('peer-to-peer', domain, { flags: undefining });
  expect(refused).toMatchObject({ state: 'FAILED', error: { code: 'in-doubt' } });
  await b.confirm(back, { nonce, flags, cookie: '', cancelled: true });
  const forth = randomUUID();
  const begun = await a.begin(forth, asked);
  const step = { nonce: begun.nonce, flags: begun.flags };
  await hosts.b.destinationClient().prepare(forth, { ...step, cookie: begun.cookie, xml: begun.xml, flags: undefining });
  await expect(b.begin(randomUUID(), asked)).rejects.toMatchObject({ code: 'in-doubt' });
  await hosts.b.destinationClient().finish(forth, { ...step, cookie: '', cancelled: true });
  await a.confirm(forth, { ...step, cookie: '', cancelled: true });
  await hosts.expectDefined(domain, 'both');
});

it.each(driven)('S41: OFFLINE, %s: a lost reply of Finish is made good by the record', async (by) => {
  const domain = await hosts.define();
  const proxy = await proxyTo(hosts.b.destination.url, (asked) => asked.endsWith('/finish'));
  const migration = await hosts.migrate(by, domain, { destination: proxy.url, flags: undefining });
  expect([migration.state, proxy.swallowed() > 0]).toEqual(['SUCCEEDED', true]);
  await proxy.close();
  await hosts.expectDefined(domain, 'destination');
});

/** In an order in which what is taken up again after one point does not meet the next one. */
it.each<['source' | 'destination', readonly (readonly [string, Where])[]]>([
  [
    'source',
    [
      ['S6', 'source'],
      ['S14', 'source'],
      ['S20', 'destination'],
      ['S17', 'destination'],
    ],
  ],
  [
    'destination',
    [
      ['D18', 'destination'],
      ['D13', 'source'],
      ['D19', 'destination'],
      ['D15', 'destination'],
    ],
  ],
])(
  'I11: OFFLINE with UNDEFINE_SOURCE: the %s-agent is killed and started again, and the definition is in one place: %j',
  async (side, points) => {
    const app = side === 'source' ? hosts.a.source : hosts.b.destination;
    const domains = await Promise.all(points.map(() => hosts.define()));
    await app.kill();
    for (const [index, [point, where]] of points.entries()) {
      const domain = domains[index] as Defined; // There is one for each point.
      const id = randomUUID();
      if (!app.running) await app.start(`${point}=kill`);
      await hosts.a.sourceClient().migrate({ ...request(domain), id, flags: undefining });
      await app.exited;
      const next = points[index + 1];
      await app.start(next === undefined ? undefined : `${next[0]}=kill`);
      await hosts.expectDefined(domain, where);
      const outcome = where === 'source' ? 'FAILED' : 'SUCCEEDED';
      expect(await hosts.ended(id), point).toMatchObject({ state: outcome, guest: { runningOn: 'none' } });
    }
  },
);

it('OFFLINE: the source-agent of the destination is away: it knows the definition when it is back', async () => {
  const domain = await hosts.define();
  await hosts.b.source.kill();
  expect(await hosts.migrate('peer-to-peer', domain, { flags: undefining })).toMatchObject({ state: 'SUCCEEDED' });
  await hosts.b.source.start();
  await hosts.expectDefined(domain, 'destination');
  await hosts.expectStarts(hosts.b, domain);
});
