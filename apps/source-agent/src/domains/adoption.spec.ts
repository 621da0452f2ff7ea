import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DomainStatuses } from '@vmferry/host-state';
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

const decided = (decision: string) =>
  writeFileSync(
    join(agent.folder, `state/migrations/${key.id}.${key.nonce}.incoming.json`),
    JSON.stringify({ version: 1, name: `${key.id}.${key.nonce}`, document: { record: { decision } } }),
  );
const adopt = async (migration: object = key) =>
  (await request(agent.url).post('/v1/adoptions').send({ uuid, migration }).expect(200)).body.adopted;

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
