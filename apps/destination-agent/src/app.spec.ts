import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCodes } from '@vmferry/errors';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runningAgent } from './testing/running-agent.js';

const unknown = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
const nonce = '0'.repeat(32);

let agent: Awaited<ReturnType<typeof runningAgent>>;
let storeId = '';
beforeAll(async () => {
  agent = await runningAgent();
  storeId = (await request(agent.url).get('/version')).body.storeId;
});
afterAll(() => agent.end());

const records = () => readdirSync(join(agent.folder, 'state/migrations'));

describe('the standard routes', () => {
  it('openapi.json is the one that is checked in; renew it with GET /openapi.json of a running agent, formatted by biome', async () => {
    const { body } = await request(agent.url).get('/openapi.json').expect(200);
    expect(body).toEqual(JSON.parse(readFileSync(new URL('../openapi.json', import.meta.url), 'utf8')));
  });

  it.each(['/healthz', '/readyz', '/metrics', '/version', '/problems'])('GET %s', async (path) => {
    await request(agent.url).get(path).expect(200);
  });

  it('GET /problems lists the whole registry', async () => {
    const { body } = await request(agent.url).get('/problems');
    expect(body.map(({ code }: { code: string }) => code)).toEqual(Object.keys(errorCodes));
  });

  it('S42: GET /version tells the protocols and the host', async () => {
    const { body } = await request(agent.url).get('/version');
    expect(body).toMatchObject({ app: 'destination-agent', protocols: ['v3', 'v2'], hostName: 'here' });
    expect(body.features).not.toContain('tunnelled');
  });
});

describe('lifecycle events', () => {
  it('begin with where the reader stands; an agent that has told nothing is at 0', async () => {
    const asked = new AbortController();
    const res = await fetch(`${agent.url}/v1/events`, { signal: asked.signal });
    expect(res.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    let text = '';
    for await (const chunk of res.body ?? []) {
      text += new TextDecoder().decode(chunk);
      if (text.includes('id: ')) break;
    }
    asked.abort();
    expect(text).toBe('retry: 3000\n\nid: 0\n\n');
  });

  it.each(['afterId=-1', 'surprise=1'])('refuses ?%s', async (query) => {
    await request(agent.url).get(`/v1/events?${query}`).expect(422);
  });
});

describe('a check of a Prepare', () => {
  const disk =
    "<devices><disk type='file' device='disk'><source file='/nowhere/disk.img'/><target dev='vda' bus='virtio'/></disk></devices>";
  const xml = `<domain type='qemu'><name>a</name><uuid>${unknown}</uuid><memory unit='TiB'>16</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>${disk}</domain>`;

  it('tells all that is in the way, with the codes of Prepare, and leaves no trace', async () => {
    const body = { id: 'm1', nonce, cookie: '', flags: ['TUNNELLED'], xml };
    const checked = await request(agent.url).post('/v1/migrations/check').send(body).expect(200);
    expect(checked.body.blockers.map(({ code }: { code: string }) => code)).toEqual([
      'invalid-argument',
      'cookie-malformed',
      'label-failed',
    ]);
    expect(checked.body).toMatchObject({
      ok: false,
      blockers: [{ side: 'destination' }, {}, { path: '/nowhere/disk.img' }],
      warnings: [{ code: 'memory-short', side: 'destination' }],
    });
    expect(records()).toEqual([]);
    const prepared = await request(agent.url)
      .post('/v1/migrations/m1/prepare-tunnel')
      .send({ nonce, cookie: '', flags: ['TUNNELLED'], xml });
    expect(prepared.body.code, 'Prepare stops at the first of them').toBe('invalid-argument');
  });

  it('goes as far as what it can read', async () => {
    const body = { id: 'm1', nonce, cookie: '', xml: '<domain' };
    const checked = await request(agent.url).post('/v1/migrations/check').send(body).expect(200);
    expect(checked.body.blockers).toMatchObject([{ code: 'xml-malformed' }]);
  });
});

describe('a key that was never prepared', () => {
  it('is asked about by another store: no answer, and nothing is written', async () => {
    const { body } = await request(agent.url)
      .post('/v1/migrations/m0/outcome')
      .send({ nonce, storeId: 'f'.repeat(32), abortUnlessCommitted: true })
      .expect(200);
    expect(body).toMatchObject({ answer: 'unknown', storeId });
    expect(records()).toEqual([]);
  });

  it('gets a durable tombstone, once, however many ask at once; its late Finish is refused', async () => {
    const ask = () => request(agent.url).post('/v1/migrations/m1/outcome').send({ nonce, storeId });
    for (const { body } of await Promise.all(Array.from({ length: 8 }, ask)))
      expect(body).toMatchObject({ answer: 'aborted', lockState: null });
    expect(records()).toEqual([`m1.${nonce}.incoming.json`]);
    const finish = await request(agent.url).post('/v1/migrations/m1/finish').send({ nonce, cookie: '', cancelled: false });
    expect([finish.status, finish.body.code]).toEqual([409, 'migration-aborted']);
    const cancelled = await request(agent.url)
      .post('/v1/migrations/m1/finish')
      .send({ nonce, cookie: '', cancelled: true })
      .expect(200);
    expect(cancelled.body).toMatchObject({ outcome: 'aborted', domain: null, handover: 'none' });
    await request(agent.url).post('/v1/migrations/m1/acknowledge').send({ nonce, storeId }).expect(204);
  });

  it('is no migration that can be read, watched, listed or resolved', async () => {
    for (const path of ['/v1/migrations/m1', '/v1/migrations/m1/events']) {
      const { status, body } = await request(agent.url).get(path);
      expect([status, body.code]).toEqual([404, 'migration-not-found']);
    }
    const resolve = await request(agent.url).post('/v1/migrations/m1/resolve').send({ keep: 'source', proof: 'fenced by hand' });
    expect([resolve.status, resolve.body.code]).toEqual([404, 'migration-not-found']);
    expect((await request(agent.url).get('/v1/migrations')).body).toEqual({ migrations: [], nextCursor: null });
  });
});

describe('Prepare is refused, and nothing is written', () => {
  const xml =
    "<domain type='qemu'><name>a</name><uuid>6ba7b810-9dad-11d1-80b4-00c04fd430c8</uuid><memory unit='KiB'>4096</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>";
  it.each([
    [422, 'cookie-malformed', 'prepare', {}],
    [422, 'flag-unknown', 'prepare', { flags: ['X'] }],
    [422, 'flag-unsupported', 'prepare', { flags: ['POSTCOPY'] }],
    [422, 'tls-unavailable', 'prepare', { flags: ['TLS'] }],
    [422, 'invalid-argument', 'prepare', { uri: 'tcp:127.0.0.1' }],
    [422, 'invalid-argument', 'prepare', { flags: ['TUNNELLED'] }],
    [422, 'invalid-argument', 'prepare-tunnel', { flags: ['TUNNELLED'] }],
    [422, 'xml-malformed', 'prepare', { xml: '<' }],
    [422, 'xml-forbidden', 'prepare', { xml: '<!DOCTYPE x><domain/>' }],
    [422, 'definition-invalid', 'prepare', { xml: '<network/>' }],
    [413, 'cookie-too-large', 'prepare', { cookie: 'A'.repeat(30_000) }],
    [404, 'session-not-found', 'prepare', { session: unknown }],
  ])('%s %s', async (status, code, step, change) => {
    const before = records();
    const res = await request(agent.url)
      .post(`/v1/migrations/m2/${step}`)
      .send({ nonce, cookie: '', xml, ...change });
    expect([res.status, res.body.code]).toEqual([status, code]);
    expect(records()).toEqual(before);
  });
});

describe('every route of the registry', () => {
  it('refuses another method with 405 and the methods that it has, and a field that it does not know with 422', async () => {
    const { body } = await request(agent.url).get('/openapi.json');
    for (const [path, methods] of Object.entries<Record<string, { requestBody?: unknown }>>(body.paths)) {
      const at = path.replaceAll(/\{\w+\}/g, unknown);
      const refused = await request(agent.url).put(at);
      expect([path, refused.status, refused.body.code]).toEqual([path, 405, 'method-not-allowed']);
      expect(
        refused.headers.allow
          ?.toLowerCase()
          .split(', ')
          .filter((method) => method !== 'head')
          .sort(),
      ).toEqual(Object.keys(methods).sort());
      for (const [method, { requestBody }] of Object.entries(methods)) {
        if (requestBody === undefined) continue;
        const res = await request(agent.url)[method as 'post'](at).send({ surprise: 1 });
        expect([path, res.status, res.body.code]).toEqual([path, 422, 'invalid-argument']);
      }
    }
  });

  it('the stream takes an upgrade only', async () => {
    const res = await request(agent.url).get('/v1/migrations/m1/stream');
    expect([res.status, res.body.code, res.headers.upgrade]).toEqual([400, 'malformed-request', 'vmferry-stream-1']);
  });

  it('has answered no problem that it does not declare', () => {
    expect(agent.logged.filter((line) => line.includes('does not declare'))).toEqual([]);
  });
});
