import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type FlagName, flagBits, type Protocol, supportedFlags } from '@vmferry/migration';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runningAgent } from '../testing/running-agent.js';

const nonce = '0'.repeat(32);
const xml =
  "<domain type='qemu'><name>a</name><uuid>6ba7b810-9dad-11d1-80b4-00c04fd430c8</uuid><memory unit='KiB'>4096</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>";

/** Each step of both protocols, with a body that is whole but for what a case changes. */
const steps = [
  ['prepare', 'v3', { nonce, cookie: '', xml }],
  ['prepare-tunnel', 'v3', { nonce, cookie: '', xml }],
  ['finish', 'v3', { nonce, cookie: '', cancelled: false }],
  ['finish', 'v3', { nonce, cookie: '', cancelled: true }],
  ['prepare2', 'v2', { nonce, xml }],
  ['prepare-tunnel2', 'v2', { nonce, xml }],
  ['finish2', 'v2', { nonce, cancelled: false }],
  ['finish2', 'v2', { nonce, cancelled: true }],
] as const;

type Agent = Awaited<ReturnType<typeof runningAgent>>;
const records = (agent: Agent) => readdirSync(join(agent.folder, 'state/migrations'));
const ask = (agent: Agent, step: string, body: object) => request(agent.url).post(`/v1/migrations/m1/${step}`).send(body);

let agent: Agent;
beforeAll(async () => {
  agent = await runningAgent();
});
afterAll(() => agent.end());

describe.each(steps)('%s of %s', (step, _protocol, body) => {
  const refused: [string, string][] = (Object.keys(flagBits) as FlagName[])
    .filter((name) => !(supportedFlags as readonly string[]).includes(name))
    .map((name) => [name, 'flag-unsupported']);
  it.each([...refused, ['FASTER', 'flag-unknown'], ['1', 'flag-unknown'], ['__proto__', 'flag-unknown']])(
    'S6: refuses the flag %s before anything happens: %s',
    async (flag, code) => {
      const res = await ask(agent, step, { ...body, flags: ['LIVE', flag] });
      expect([res.status, res.body.code, res.body.errors?.[0]?.path]).toEqual([422, code, '/flags/1']);
      if (flag.startsWith('NON_SHARED_')) expect(res.body.detail).toMatch(/storage is not copied/);
      expect(records(agent)).toEqual([]);
    },
  );

  it('S32: refuses what is no address before anything happens', async () => {
    if (!step.startsWith('prepare')) return expect((await ask(agent, step, { ...body, uri: 'http://h' })).status).toBe(422);
    const tunnelled = step.includes('tunnel') ? { flags: ['TUNNELLED'] } : {};
    for (const wrong of [
      { uri: 'exec:true' },
      { uri: 'tcp:127.0.0.1:1' },
      { uri: 'http://u:p@h' },
      { uri: `${agent.url}/v1/migrations/m1/stream` },
      { uri: 'http://169.254.169.254' },
      { listenAddress: 'localhost' },
      { listenAddress: '10.255.255.1', ...tunnelled },
    ]) {
      const res = await ask(agent, step, { ...body, ...wrong });
      expect([res.status, res.body.code]).toEqual([422, 'invalid-argument']);
    }
    expect(records(agent)).toEqual([]);
  });
});

it('S7: the flags of Finish are logged in hex', async () => {
  await ask(agent, 'finish2', { nonce: '1'.repeat(32), cancelled: true, flags: ['LIVE', 'TUNNELLED'] }).expect(200);
  expect(agent.logged.filter((line) => line.includes('"message":"finish"')).at(-1)).toContain('"flags":"0x5"');
});

describe('S21: a v2 step without a cookie', () => {
  it('is no error: what is wrong with Prepare2 is its XML', async () => {
    for (const cookie of [{}, { cookie: null }]) {
      const res = await ask(agent, 'prepare2', { nonce, xml: '<network/>', ...cookie });
      expect(res.body.code).toBe('definition-invalid');
    }
  });

  it('is no error of Finish2 either: the key was never seen, and is buried', async () => {
    const res = await ask(agent, 'finish2', { nonce: '2'.repeat(32), cookie: null, cancelled: true }).expect(200);
    expect(res.body).toMatchObject({ outcome: 'aborted', domain: null });
    const late = await ask(agent, 'prepare2', { nonce: '2'.repeat(32), xml });
    expect([late.status, late.body.code]).toEqual([409, 'migration-aborted']);
  });
});

it('a record that was never prepared is not bound, and the source hears that it is over', async () => {
  const { storeId } = (await request(agent.url).get('/version')).body;
  const body = { nonce: '3'.repeat(32), storeId, cookie: '', paused: false };
  expect((await ask(agent, 'bind', body).expect(200)).body).toMatchObject({ answer: 'aborted', storeId });
  expect((await ask(agent, 'bind', { ...body, storeId: '4'.repeat(32) }).expect(200)).body.answer).toBe('unknown');
});

describe.each(['v3', 'v2'] as const)('S20: an agent that offers %s alone', (offered: Protocol) => {
  it('says so, and refuses the steps of the other before anything happens', async () => {
    const only = await runningAgent({ protocols: [offered] });
    try {
      expect((await request(only.url).get('/version')).body.protocols).toEqual([offered]);
      for (const [step, protocol, body] of steps) {
        const { status, body: problem } = await ask(only, step, { ...body, flags: ['FASTER'] });
        expect([step, status, problem.code]).toEqual([step, 422, protocol === offered ? 'flag-unknown' : 'peer-protocol']);
      }
      expect(records(only)).toEqual([]);
    } finally {
      await only.end();
    }
  });
});

it('has answered no problem that it does not declare', () => {
  expect(agent.logged.filter((line) => line.includes('does not declare'))).toEqual([]);
});
