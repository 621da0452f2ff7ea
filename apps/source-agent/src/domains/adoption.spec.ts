import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DomainConfigs, DomainStatuses } from '@vmferry/host-state';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runningAgent } from '../testing/running-agent.js';

const uuid = '33333333-3333-4333-8333-333333333333';
const key = { id: 'm1', nonce: 'a'.repeat(32) };
const domainXml = `<domain type='qemu'><name>come</name><uuid>${uuid}</uuid><memory unit='KiB'>4096</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>`;

let agent: Awaited<ReturnType<typeof runningAgent>>;
let statuses: DomainStatuses;
beforeAll(async () => {
  agent = await runningAgent();
  statuses = new DomainStatuses({ dir: join(agent.folder, 'state/run'), report: () => undefined });
  // As the destination-agent of this host leaves it; its QEMU has ended meanwhile, so that none is needed here.
  await statuses.write({
    uuid,
    name: 'come',
    owner: 'destination',
    persistent: false,
    state: 'running',
    reason: 'migrated',
    process: { pid: 999_999_999, startTimeTicks: '1', bootId: 'b' },
    monitors: { source: '/nowhere/s', destination: '/nowhere/d' },
    logPath: '/nowhere/log',
    runtimeDir: join(agent.folder, 'run/none'),
    migration: { ...key, role: 'destination' },
    tainted: [],
    domainXml,
  });
});
afterAll(() => agent.end());

const decided = (decision: string, { id, nonce } = key, flags?: string[]) =>
  writeFileSync(
    join(agent.folder, `state/migrations/${id}.${nonce}.incoming.json`),
    JSON.stringify({
      version: 1,
      name: `${id}.${nonce}`,
      document: { record: { decision }, flags, createdAt: '2026-01-01T00:00:00.000Z', domain: null },
    }),
  );
const adopt = async (migration: object = key, of = uuid) =>
  (await request(agent.url).post('/v1/adoptions').send({ uuid: of, migration }).expect(200)).body.adopted;

describe('Adoption', () => {
  it.each(['open', 'committing', 'aborted', 'unknown'])('a record that says %s gives no guest away', async (decision) => {
    decided(decision);
    expect(await adopt()).toBe(false);
    expect((await statuses.read(uuid))?.owner).toBe('destination');
    expect((await request(agent.url).get('/v1/domains')).body.domains).toEqual([]);
  });

  it('while it waits, Begin is told so: it is not unknown, and it is not here yet', async () => {
    decided('committed');
    for (const domain of ['come', uuid]) {
      const { status, body } = await request(agent.url).post('/v1/migrations/m2/begin').send({ domain });
      expect([status, body.code, body.retryable]).toEqual([409, 'handover-pending', true]);
    }
  });

  it('a hint with another nonce gives no guest away', async () => {
    expect(await adopt({ ...key, nonce: 'b'.repeat(32) })).toBe(false);
  });

  it('committed: it is taken once, however many hints come; one whose QEMU has ended is tidied and audited', async () => {
    expect(await Promise.all(Array.from({ length: 5 }, () => adopt()))).toEqual(Array.from({ length: 5 }, () => true));
    expect(await statuses.read(uuid)).toBeNull();
    expect(await adopt()).toBe(true);
    const stops = readFileSync(join(agent.folder, 'state/source-agent.audit'), 'utf8').match(/op=stop reason=crashed/g);
    expect(stops).toHaveLength(1);
  });
});

it('S31: OFFLINE: a committed record makes the definition known, as long as its note of arrival says that it has to be', async () => {
  const [idle, offline] = ['44444444-4444-4444-8444-444444444444', { id: 'm3', nonce: 'c'.repeat(32) }];
  const xml = domainXml.replace(uuid, idle).replace('come', 'idle');
  const state = join(agent.folder, 'state');
  const note = join(state, 'run', idle, 'incoming.json');
  const configs = new DomainConfigs({ dir: join(state, 'domains'), report: () => undefined });
  const known = async () => (await request(agent.url).get(`/v1/domains/${idle}`)).body;
  await configs.write(idle, xml);
  mkdirSync(dirname(note));
  writeFileSync(note, JSON.stringify({ version: 1, name: idle, document: offline }));
  decided('committing', offline, ['OFFLINE']);
  expect([await adopt(offline, idle), (await known()).code]).toEqual([false, 'domain-not-found']);
  decided('committed', offline, ['OFFLINE']);
  expect(await adopt(offline, idle)).toBe(true);
  expect(await known()).toMatchObject({ name: 'idle', state: 'shutoff', persistent: true });
  await configs.write(idle, xml.replace('</name>', '</name><title>newer</title>'));
  rmSync(note);
  expect(await adopt(offline, idle)).toBe(true);
  const { body } = await request(agent.url).get(`/v1/domains/${idle}/xml`);
  expect(body.xml, 'what it was taken over as').not.toContain('newer');
});

it('I12: a record that cannot be read keeps its own domain from being defined, and no other one', async () => {
  const [lost, other] = ['55555555-5555-4555-8555-555555555555', '66666666-6666-4666-8666-666666666666'];
  const unreadable = { id: 'm4', nonce: 'd'.repeat(32) };
  const folder = join(agent.folder, 'state/run', lost);
  mkdirSync(folder);
  writeFileSync(join(folder, 'incoming.json'), JSON.stringify({ version: 1, name: lost, document: unreadable }));
  writeFileSync(join(agent.folder, `state/migrations/m4.${unreadable.nonce}.incoming.json`), '{');
  const define = async (of: string) => {
    const xml = domainXml.replace(uuid, of).replace('come', `d-${of.slice(0, 4)}`);
    return (await request(agent.url).post('/v1/domains').send({ xml })).body.code;
  };
  expect([await define(other), await define(lost)]).toEqual([undefined, 'state-unreadable']);
});
