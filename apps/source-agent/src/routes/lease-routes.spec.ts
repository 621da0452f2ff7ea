import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EmbeddedLocks, vmResource } from '@vmferry/locking';
import { systemClock } from '@vmferry/seams';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runningAgent } from '../testing/running-agent.js';

const uuid = '88888888-8888-4888-8888-888888888888';
const xml = `<domain type='qemu'><name>held</name><uuid>${uuid}</uuid><memory unit='KiB'>8192</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><devices><memballoon model='none'/></devices></domain>`;
const statement = 'ops has pulled the plug of host-a, ticket 4711';

let agent: Awaited<ReturnType<typeof runningAgent>>;
beforeAll(async () => {
  agent = await runningAgent();
});
afterAll(() => agent.end());

const at = (id: string) => `/v1/leases/${id}`;
const breaks = (id: string, body: object) =>
  request(agent.url)
    .post(`${at(id)}/break`)
    .send(body);
/** The last record; what people wrote is in it in hex. */
const audited = () => readFileSync(join(agent.folder, 'state/source-agent.audit'), 'utf8').trim().split('\n').at(-1);
const inHex = (text: string) => Buffer.from(text, 'utf8').toString('hex').toUpperCase();

/** A host that shares the lock folder, and has died with the lease. */
async function leftBehind(id: string): Promise<void> {
  const folder = join(agent.folder, 'state/locks');
  const dead = await EmbeddedLocks.open({ folder, scope: 'shared', hostUuid: 'host-a', clock: systemClock });
  await dead.acquire(id, [vmResource(id)]);
}

describe('threat 18: a lease', () => {
  const id = '99999999-9999-4999-8999-999999999999';

  it('is broken with proof, at the epoch of its dead owner, and the audit says by whom and why', async () => {
    await leftBehind(id);
    const shown = await request(agent.url).get(at(id)).expect(200);
    expect(shown.body).toEqual({ uuid: id, driver: 'embedded', epoch: '1', heldHere: false });
    const { body, headers } = await breaks(id, { epoch: '1', proof: { t: 'operator', statement } }).expect(200);
    expect(body).toEqual({ uuid: id, driver: 'embedded', epoch: '2', heldHere: false });
    expect(audited()).toContain(
      `success=yes principal="local" request-id="${headers['x-request-id']}" method="POST" path="${at(id)}/break" outcome=${inHex(`ok:epoch=1 operator=${statement}`)} `,
    );
  });

  it.each([
    ['without a proof', { epoch: '2' }],
    ['with a proof that says nothing', { epoch: '2', proof: { t: 'operator', statement: '        ' } }],
    ['because it was not renewed', { epoch: '2', proof: { t: 'expired' } }],
    ['at no epoch', { proof: { t: 'operator', statement } }],
    ['at an epoch that is no number', { epoch: '-1', proof: { t: 'operator', statement } }],
    ['by a watchdog that this driver does not have', { epoch: '2', proof: { t: 'watchdog', by: 'it has fired' } }],
  ])('is not broken %s', async (_, body) => {
    expect((await breaks(id, body).expect(422)).body.code).toBe('invalid-argument');
    expect((await request(agent.url).get(at(id))).body.epoch).toBe('2');
  });

  it('is not broken once it has moved on, and the refusal is audited', async () => {
    const { body } = await breaks(id, { epoch: '1', proof: { t: 'fenced', by: 'IPMI: power is off' } }).expect(409);
    expect([body.code, body.data]).toEqual(['lease-stale', { resource: `vm:${id}`, expected: '1', current: '2' }]);
    expect(audited()).toContain('success=no ');
    expect(audited()).toContain(` outcome=${inHex('lease-stale:epoch=1 fenced=IPMI: power is off')} `);
  });

  it('of a guest that is on this host is not broken, whatever the proof', async () => {
    await request(agent.url).post('/v1/domains').send({ xml, transient: true, paused: true }).expect(201);
    const { epoch, heldHere } = (await request(agent.url).get(at(uuid))).body;
    expect(heldHere).toBe(true);
    const { body } = await breaks(uuid, { epoch, proof: { t: 'operator', statement } }).expect(409);
    expect(body.code).toBe('lease-busy');
    expect((await request(agent.url).get(at(uuid))).body).toMatchObject({ epoch, heldHere: true });
    await request(agent.url).post('/v1/domains/held/destroy').send({}).expect(200);
  });

  it('is broken with the permission admin alone', async () => {
    const { paths } = (await request(agent.url).get('/openapi.json')).body;
    expect(paths['/v1/leases/{uuid}/break'].post.security).toEqual([{ bearer: ['admin'] }]);
  });
});

it('has answered no problem that it does not declare', () => {
  expect(agent.logged.filter((line) => line.includes('does not declare'))).toEqual([]);
});
