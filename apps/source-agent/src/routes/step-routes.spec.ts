import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type FlagName, flagBits, supportedFlags } from '@vmferry/migration';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runningAgent } from '../testing/running-agent.js';

const nonce = '0'.repeat(32);

/** Each way into a migration, with a body that is whole but for what a case changes. */
const steps = [
  ['/v1/migrations', { domain: 'a', destination: 'http://127.0.0.1:1' }],
  ['/v1/migrations/m1/begin', { domain: 'a' }],
  ['/v1/migrations/m1/perform', { nonce, cookie: '' }],
  ['/v1/migrations/m1/confirm', { nonce, cookie: '', cancelled: false }],
  ['/v1/migrations/m1/confirm', { nonce, cookie: '', cancelled: true }],
  ['/v1/migrations/m1/perform2', { nonce, cookie: '', domain: 'a' }],
] as const;

let agent: Awaited<ReturnType<typeof runningAgent>>;
beforeAll(async () => {
  agent = await runningAgent();
});
afterAll(() => agent.end());

const journals = () => readdirSync(join(agent.folder, 'state/migrations'));

describe.each(steps)('%s', (path, body) => {
  const refused: [string, string][] = (Object.keys(flagBits) as FlagName[])
    .filter((name) => !(supportedFlags as readonly string[]).includes(name))
    .map((name) => [name, 'flag-unsupported']);
  it.each([...refused, ['FASTER', 'flag-unknown'], ['256', 'flag-unknown'], ['live', 'flag-unknown']])(
    'S6: refuses the flag %s before anything happens: %s',
    async (flag, code) => {
      const res = await request(agent.url)
        .post(path)
        .send({ ...body, flags: ['LIVE', flag] });
      expect([res.status, res.body.code, res.body.errors?.[0]?.path]).toEqual([422, code, '/flags/1']);
      if (flag.startsWith('NON_SHARED_')) expect(res.body.detail).toMatch(/storage is not copied/);
      expect(journals()).toEqual([]);
    },
  );
});

describe('S32: the management URL and the URI of the stream', () => {
  const stream = 'http://127.0.0.1:7802/v1/migrations/m1/stream';
  it.each([
    ['a stream for the destination', '/v1/migrations', { domain: 'a', destination: stream }],
    [
      'a whole stream for the uri of a migration',
      '/v1/migrations',
      { domain: 'a', destination: 'http://127.0.0.1:1', uri: stream },
    ],
    ['a management URL for the stream', '/v1/migrations/m1/perform', { nonce, cookie: '', uri: 'http://127.0.0.1:7802' }],
    [
      'a management URL for the stream of v2',
      '/v1/migrations/m1/perform2',
      { nonce, cookie: '', domain: 'a', uri: 'http://127.0.0.1:7802' },
    ],
    [
      'a management URL in a Perform that is not peer-to-peer',
      '/v1/migrations/m1/perform',
      { nonce, cookie: '', destination: 'http://127.0.0.1:7802' },
    ],
    [
      'an address that is none',
      '/v1/migrations',
      { domain: 'a', destination: 'http://127.0.0.1:1', listenAddress: 'everywhere' },
    ],
    ['a destination at the metadata of a cloud', '/v1/migrations', { domain: 'a', destination: 'http://169.254.169.254' }],
    ['a command for the stream', '/v1/migrations/m1/perform', { nonce, cookie: '', uri: 'exec:/bin/sh' }],
  ])('%s is refused', async (_, path, body) => {
    const res = await request(agent.url).post(path).send(body);
    expect([res.status, res.body.code]).toEqual([422, 'invalid-argument']);
  });
});

it('S7: the flags of Confirm are logged in hex', async () => {
  await request(agent.url)
    .post('/v1/migrations/m1/confirm')
    .send({ nonce, cookie: '', cancelled: true, flags: ['LIVE', 'PAUSED'] });
  expect(agent.logged.filter((line) => line.includes('"message":"confirm"')).at(-1)).toContain('"flags":"0x21"');
});

it('has answered no problem that it does not declare', () => {
  expect(agent.logged.filter((line) => line.includes('does not declare'))).toEqual([]);
});
