import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorCodes } from '@vmferry/errors';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runningAgent } from './testing/running-agent.js';

const unknown = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
const nonce = '0'.repeat(32);
const xmlOf = (name: string, uuid: string) =>
  `<domain type='qemu'><name>${name}</name><uuid>${uuid}</uuid><memory unit='KiB'>4096</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>`;

let agent: Awaited<ReturnType<typeof runningAgent>>;
beforeAll(async () => {
  agent = await runningAgent();
});
afterAll(() => agent.end());

describe('the standard routes', () => {
  it('openapi.json is the one that is checked in; renew it with GET /openapi.json of a running agent, formatted by biome', async () => {
    const { body } = await request(agent.url).get('/openapi.json').expect(200);
    expect(body).toEqual(JSON.parse(readFileSync(new URL('../openapi.json', import.meta.url), 'utf8')));
  });

  it.each(['/healthz', '/readyz', '/metrics', '/version', '/problems'])('GET %s', async (path) => {
    await request(agent.url).get(path).expect(200);
  });

  it('GET /problems lists the whole registry, and each has its page', async () => {
    const { body } = await request(agent.url).get('/problems');
    expect(body.map(({ code }: { code: string }) => code)).toEqual(Object.keys(errorCodes));
    for (const code of Object.keys(errorCodes)) await request(agent.url).get(`/problems/${code}`).expect(200);
  });

  it('S42: GET /version tells the protocols and the host', async () => {
    const { body } = await request(agent.url).get('/version');
    expect(body).toMatchObject({ app: 'source-agent', protocols: ['v3', 'v2'], hostName: 'here' });
    expect(body.features).not.toContain('tunnelled');
  });
});

describe('domains', () => {
  it('are defined, listed, read by name and uuid, and undefined; on disk too', async () => {
    const uuid = '11111111-1111-4111-8111-111111111111';
    const configs = () => readdirSync(join(agent.folder, 'state/domains'));
    const made = await request(agent.url)
      .post('/v1/domains')
      .send({ xml: xmlOf('a', uuid) })
      .expect(201);
    expect(made.headers.location).toBe(`/v1/domains/${uuid}`);
    expect(made.body).toMatchObject({ uuid, name: 'a', persistent: true, state: 'shutoff', pid: null, job: null });
    expect(configs()).toEqual([`${uuid}.xml`]);
    expect((await request(agent.url).get('/v1/domains')).body.domains).toEqual([made.body]);
    for (const ref of ['a', uuid, uuid.toUpperCase()])
      expect((await request(agent.url).get(`/v1/domains/${ref}`)).body).toEqual(made.body);
    expect((await request(agent.url).get('/v1/domains/a/xml')).body.xml).toContain('<name>a</name>');
    for (const act of ['suspend', 'resume', 'shutdown', 'destroy']) {
      const { body } = await request(agent.url).post(`/v1/domains/a/${act}`).expect(409);
      expect(body.code).toBe('domain-not-running');
    }
    expect((await request(agent.url).get('/v1/domains/a/block-stats')).body.code).toBe('domain-not-running');
    await request(agent.url).delete('/v1/domains/a').expect(204);
    expect(configs()).toEqual([]);
    expect((await request(agent.url).delete('/v1/domains/a').expect(404)).body.code).toBe('domain-not-found');
  });

  it('are read without the passwords of their displays, but by who may set them; no password is logged or told of', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vf-'));
    const tokenFile = join(folder, 'tokens');
    const tokenOf = (name: 'reader' | 'operator') => {
      const sha256 = createHash('sha256').update(name).digest('hex');
      return { name, sha256, permissions: name === 'reader' ? ['read'] : ['read', 'operate'] };
    };
    writeFileSync(tokenFile, JSON.stringify({ tokens: [tokenOf('reader'), tokenOf('operator')] }), { mode: 0o600 });
    const guarded = await runningAgent({ tokenFile });
    const as = (name: string) => ({ authorization: `Bearer ${name}` });
    const ask = (path: string, name: string) => request(guarded.url).get(`/v1/domains/shown/${path}`).set(as(name));
    const define = (passwd: string) => {
      const devices = `<devices><graphics type='vnc' autoport='yes' passwd='${passwd}'/></devices></domain>`;
      const xml = xmlOf('shown', '11111111-1111-4111-8111-111111111112').replace('</domain>', devices);
      return request(guarded.url).post('/v1/domains').set(as('operator')).send({ xml });
    };
    await define('cAnary42').expect(201);
    const refused = await define('cAnary42 that is too long').expect(422);
    expect(JSON.stringify(refused.body)).not.toContain('cAnary42');
    for (const name of ['reader', 'operator']) {
      const { body } = await ask('xml', name).expect(200);
      expect(body.xml).toContain("<graphics type='vnc' autoport='yes'/>");
    }
    expect((await ask('secure-xml', 'operator').expect(200)).body.xml).toContain("passwd='cAnary42'");
    expect((await ask('secure-xml', 'reader').expect(403)).body.code).toBe('forbidden');
    expect(guarded.logged.join()).not.toContain('cAnary42');
    await guarded.end();
    rmSync(folder, { recursive: true });
  });

  it('two at once of one name: one is made', async () => {
    const uuids = Array.from({ length: 8 }, (_, n) => `2222222${n}-2222-4222-8222-222222222222`);
    const answers = await Promise.all(
      uuids.map((uuid) =>
        request(agent.url)
          .post('/v1/domains')
          .send({ xml: xmlOf('twin', uuid) }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array.from({ length: 7 }, () => 409)]);
    expect(answers.filter(({ status }) => status === 409).every(({ body }) => body.code === 'domain-exists')).toBe(true);
    await request(agent.url).delete('/v1/domains/twin').expect(204);
  });

  it('every act is audited, the refused one too', () => {
    const audit = readFileSync(join(agent.folder, 'state/source-agent.audit'), 'utf8');
    expect(audit).toMatch(/path="\/v1\/domains"/);
    expect(audit).toMatch(/success=no .*outcome="domain-not-running"/);
    expect(audit.match(/success=no .*outcome="domain-exists"/g)).toHaveLength(7);
  });
});

/** The text of a stream of events that is ended by the client as soon as it holds `until`. */
function streamed(path: string, until: string, headers: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = get(`${agent.url}${path}`, { headers }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (!text.includes(until)) return;
        resolve(text);
        asked.destroy();
      });
    }).on('error', reject);
  });
}

describe('lifecycle events', () => {
  const uuid = '44444444-4444-4444-8444-444444444444';
  const told = (text: string) =>
    [...text.matchAll(/"event":"(\w+)","detail":"(\w+)"/g)].map(([, event, detail]) => `${event}/${detail}`);

  it('A9: of a configuration: added, updated, removed; behind an id, by afterId or Last-Event-ID, and of one domain', async () => {
    for (let times = 0; times < 2; times += 1) {
      await request(agent.url)
        .post('/v1/domains')
        .send({ xml: xmlOf('eve', uuid) })
        .expect(201);
    }
    await request(agent.url).delete('/v1/domains/eve').expect(204);
    const all = await streamed(`/v1/events?afterId=0&domain=${uuid}`, 'removed');
    expect(told(all)).toEqual(['defined/added', 'defined/updated', 'undefined/removed']);
    expect(all).toContain('"hostName":"here","domain":{"uuid":"44444444-4444-4444-8444-444444444444","name":"eve"}');
    expect(all).toContain('"libvirt":{"event":0,"detail":1}');
    const ids = [...all.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
    expect(told(await streamed(`/v1/events?afterId=${ids[1]}`, 'removed'))).toEqual(['undefined/removed']);
    const back = await streamed('/v1/events?afterId=0', 'removed', { 'last-event-id': String(ids[0]) });
    expect(told(back)).toEqual(['defined/updated', 'undefined/removed']);
  });

  it('begin anew with where the reader stands, and have no past', async () => {
    const text = await streamed('/v1/events', 'id: ');
    expect(text).toMatch(/^retry: 3000\n\nid: \d+\n\n$/);
  });

  it.each(['afterId=-1', 'afterId=x', 'afterId=1e16', 'domain=', 'since=1'])('refuses ?%s', async (query) => {
    const { status, body } = await request(agent.url).get(`/v1/events?${query}`);
    expect([status, body.code]).toEqual([422, 'invalid-argument']);
  });
});

describe('sessions', () => {
  it('are made, read, renewed and ended', async () => {
    const { body } = await request(agent.url).post('/v1/sessions').send({ ttlSeconds: 60 }).expect(201);
    await request(agent.url).get(`/v1/sessions/${body.id}`).expect(200);
    await request(agent.url).post(`/v1/sessions/${body.id}/renew`).expect(200);
    await request(agent.url).delete(`/v1/sessions/${body.id}`).expect(204);
    expect((await request(agent.url).get(`/v1/sessions/${body.id}`).expect(404)).body.code).toBe('session-not-found');
  });
});

describe('what is not there', () => {
  it.each([
    ['get', '/v1/domains/none', 'domain-not-found', undefined],
    ['get', '/v1/domains/none/xml', 'domain-not-found', undefined],
    ['get', '/v1/domains/none/block-stats', 'domain-not-found', undefined],
    ['post', '/v1/domains/none/start', 'domain-not-found', {}],
    ['post', '/v1/domains/none/destroy', 'domain-not-found', {}],
    ['get', '/v1/migrations/none', 'migration-not-found', undefined],
    ['get', '/v1/migrations/none/events', 'migration-not-found', undefined],
    ['post', '/v1/migrations/none/cancel', 'migration-not-found', {}],
    ['patch', '/v1/migrations/none/parameters', 'migration-not-found', { downtimeMsMax: 5 }],
    ['post', '/v1/migrations/none/force-complete', 'migration-not-found', { strategy: 'pause' }],
    ['post', '/v1/migrations/check', 'domain-not-found', { domain: 'none', destination: 'http://127.0.0.1:1' }],
    ['delete', '/v1/migrations/none', 'migration-not-found', undefined],
    ['post', '/v1/migrations/none/begin', 'domain-not-found', { domain: 'none' }],
    ['post', '/v1/migrations/none/perform2', 'domain-not-found', { domain: 'none', nonce, cookie: '' }],
    ['post', '/v1/migrations/none/perform', 'migration-not-found', { nonce, cookie: '' }],
    ['post', '/v1/migrations/none/confirm', 'migration-not-found', { nonce, cookie: '', cancelled: true }],
    ['post', '/v1/migrations', 'domain-not-found', { domain: 'none', destination: 'http://127.0.0.1:1' }],
    ['get', `/v1/sessions/${unknown}`, 'session-not-found', undefined],
    ['get', '/v1/none', 'not-found', undefined],
  ] as const)('%s %s', async (method, path, code, body) => {
    const res = await request(agent.url)[method](path).send(body);
    expect([res.status, res.body.code, res.type]).toEqual([404, code, 'application/problem+json']);
  });

  it('an unknown migration has no evidence and no permit, and nothing is adopted on a word', async () => {
    const evidence = await request(agent.url).post('/v1/migrations/none/evidence').send({ nonce, storeId: nonce }).expect(200);
    expect(evidence.body).toMatchObject({ guest: 'unknown', permit: null });
    const permit = await request(agent.url).post('/v1/migrations/none/permit').send({ nonce, storeId: nonce }).expect(200);
    expect(permit.body.permit).toBeNull();
    const adopted = await request(agent.url)
      .post('/v1/adoptions')
      .send({ uuid: unknown, migration: { id: 'm', nonce } })
      .expect(200);
    expect(adopted.body).toEqual({ adopted: false });
  });

  it('there is no migration to list', async () => {
    expect((await request(agent.url).get('/v1/migrations')).body).toEqual({ migrations: [], nextCursor: null });
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
        const res = await request(agent.url)[method as 'post' | 'patch'](at).send({ surprise: 1 });
        expect([path, res.status, res.body.code]).toEqual([path, 422, 'invalid-argument']);
        expect(res.body.errors.length).toBeGreaterThan(0);
      }
    }
  });

  it('has answered no problem that it does not declare', () => {
    expect(agent.logged.filter((line) => line.includes('does not declare'))).toEqual([]);
  });
});
