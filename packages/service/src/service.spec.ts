import { once } from 'node:events';
import net from 'node:net';
import { z } from '@vmferry/api';
import request from 'supertest';
import { afterEach, describe, expect, it } from 'vitest';
import { describeRoutes, routeFaults } from './describe-routes.js';
import { defineRoute } from './route.js';
import type { SpecService } from './spec-service.js';
import { specRoutes, specService } from './spec-service.js';

const running: SpecService[] = [];

afterEach(async () => {
  for (const service of running.splice(0)) await service.drain();
});

async function listening(
  o: Parameters<typeof specService>[0] = {},
): Promise<{ service: SpecService; url: string; port: number }> {
  const service = specService(o);
  running.push(service);
  const { url } = await service.listen({ host: '127.0.0.1', port: 0 });
  return { service, url, port: Number(new URL(url).port) };
}

/** Everything the server says on one connection until it closes it. */
async function talk(port: number, ...sent: string[]): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => undefined);
  for (const text of sent) socket.write(text);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}

describe('bad input is a problem document, before any effect', () => {
  const wide = defineRoute({
    method: 'post',
    path: '/v1/wide',
    summary: 'Takes a large body.',
    permission: 'operate',
    body: z.strictObject({ list: z.array(z.int()).optional() }),
    reply: { status: 204 },
    problems: [],
    handler: () => ({}),
  });
  const json = 'application/json';
  const id = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
  const table: [name: string, send: (url: string) => request.Test, status: number, code: string, detail: RegExp][] = [
    ['malformed JSON', (u) => request(u).post('/v1/things').type(json).send('{"name":'), 400, 'malformed-request', /JSON/],
    [
      'JSON that is no object',
      (u) => request(u).post('/v1/things').type(json).send('"x"'),
      422,
      'invalid-argument',
      /^\/body: .*object/,
    ],
    [
      'JSON that is null',
      (u) => request(u).post('/v1/things').type(json).send('null'),
      422,
      'invalid-argument',
      /^\/body: .*object/,
    ],
    [
      'an unknown field',
      (u) => request(u).post('/v1/things').send({ name: 'a', colour: 'red' }),
      422,
      'invalid-argument',
      /colour/,
    ],
    ['a wrong type', (u) => request(u).post('/v1/things').send({ name: 7 }), 422, 'invalid-argument', /\/body\/name/],
    [
      'a number out of bounds',
      (u) => request(u).post('/v1/things').send({ name: 'a', count: -1 }),
      422,
      'invalid-argument',
      /\/body\/count/,
    ],
    ['no body where one is needed', (u) => request(u).post('/v1/things'), 422, 'invalid-argument', /\/body\/name/],
    [
      'a wrong content type',
      (u) => request(u).post('/v1/things').type('text/plain').send('{}'),
      415,
      'unsupported-media-type',
      /text\/plain/,
    ],
    ['a form', (u) => request(u).post('/v1/things').type('form').send('name=a'), 415, 'unsupported-media-type', /form/],
    [
      'a compressed body',
      (u) => request(u).post('/v1/things').type(json).set('content-encoding', 'gzip').send('{}'),
      415,
      'unsupported-media-type',
      /compressed/,
    ],
    [
      'a body over the limit',
      (u) =>
        request(u)
          .post('/v1/things')
          .send({ name: 'x'.repeat(2_000) }),
      413,
      'body-too-large',
      /larger/,
    ],
    ['a body where none is read', (u) => request(u).post('/v1/step').send({ a: 1 }), 400, 'malformed-request', /no body/],
    [
      '__proto__',
      (u) => request(u).post('/v1/things').type(json).send('{"name":"a","__proto__":{"admin":true}}'),
      400,
      'malformed-request',
      /__proto__/,
    ],
    [
      'constructor',
      (u) => request(u).post('/v1/things').type(json).send('{"name":"a","constructor":{}}'),
      400,
      'malformed-request',
      /constructor/,
    ],
    ['a bad uuid', (u) => request(u).get('/v1/things/nope'), 422, 'invalid-argument', /\/params\/id/],
    ['an unknown query', (u) => request(u).get(`/v1/things/${id}?sort=up`), 422, 'invalid-argument', /sort/],
    ['a query twice', (u) => request(u).get(`/v1/things/${id}?limit=1&limit=2`), 422, 'invalid-argument', /\/query\/limit/],
    ['a bad escape in the path', (u) => request(u).get('/v1/things/%zz'), 400, 'malformed-request', /%zz|decode/],
    ['an unknown path', (u) => request(u).get('/v1/nothing'), 404, 'not-found', /openapi/],
    ['a wrong method', (u) => request(u).put('/v1/things').send({}), 405, 'method-not-allowed', /POST/],
    ['a plain GET of an upgrade', (u) => request(u).get('/v1/echo/1'), 400, 'malformed-request', /spec-1/],
  ];

  it.each(table)('%s', async (_name, send, status, code, detail) => {
    const { url } = await listening();
    const res = await send(url);
    expect(res.status).toBe(status);
    expect(res.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(res.body).toMatchObject({ code, status, type: `/problems/${code}` });
    expect(res.body.detail).toMatch(detail);
    expect(res.body.requestId).toBe(res.headers['x-request-id']);
    expect(({} as Record<string, unknown>).admin).toBeUndefined();
  });

  it('what was sent is not sent back: 10,000 unknown fields get a small answer', async () => {
    const { url } = await listening({ routes: [wide] });
    const body = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`field${n}`, n]));
    const res = await request(url).post('/v1/wide').send(body);
    expect([res.status, res.body.code, res.body.errors.length]).toEqual([422, 'invalid-argument', 1]);
    expect(res.body.detail).toMatch(/"field0".*\.\.\. \[\d+ characters\]$/);
    expect(res.text.length).toBeLessThan(1_000);
    const long = await request(url)
      .post('/v1/wide')
      .send({ list: Array.from({ length: 10_000 }, () => 'x') });
    expect([long.status, long.body.errors.length, long.text.length < 10_000]).toEqual([422, 32, true]);
  });

  it('a header over 16 KiB gets 431', async () => {
    const { port } = await listening();
    const answer = await talk(port, `GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx-long: ${'a'.repeat(17_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toMatch(/"code":"malformed-request"/);
  });

  it('what is not HTTP gets 400', async () => {
    const { port } = await listening();
    expect(await talk(port, 'QEVM\0\0\0\x03 what\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*malformed-request/);
  });

  it('a request that is sent too slowly gets 408 and is closed', async () => {
    const { port } = await listening({ limits: { headersTimeoutMs: 100, requestTimeoutMs: 200 } });
    const head = 'POST /v1/things HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{';
    expect(await talk(port, 'GET /healthz HTTP/1.1\r\nhost: 127.')).toMatch(/^HTTP\/1\.1 408 [\s\S]*request-timeout/);
    expect(await talk(port, head)).toMatch(/^HTTP\/1\.1 408 /);
  });
});

describe('answers', () => {
  it('a problem of a handler carries place, retryable and libvirt code', async () => {
    const { url, service } = await listening();
    const res = await request(url).post('/v1/things').send({ name: 'busy' });
    expect(service.logged.join()).not.toMatch(/does not declare/);
    expect(res.status).toBe(409);
    expect(res.body).toMatchObject({ code: 'domain-busy', side: 'source', retryable: true, libvirtCode: 68 });
  });

  it('a defect is told by its request id only, and its detail is in the log', async () => {
    const { url, service } = await listening();
    const res = await request(url).post('/v1/things').set('x-request-id', 'trace-7').send({ name: 'broken' });
    expect(res.status).toBe(500);
    expect(res.body).toMatchObject({ code: 'internal', requestId: 'trace-7' });
    expect(res.text).not.toMatch(/shadow/);
    expect(service.logged.filter((line) => line.includes('trace-7')).join()).toMatch(/shadow/);
  });

  it('a problem that its route does not declare is reported in the log', async () => {
    const { url, service } = await listening();
    expect((await request(url).post('/v1/things').send({ name: 'undeclared' })).status).toBe(409);
    expect(service.logged.join()).toMatch(/does not declare/);
  });

  it('a request id with odd letters is replaced', async () => {
    const { url } = await listening();
    const res = await request(url).get('/healthz').set('x-request-id', 'a b{c}');
    expect(res.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('parses params, query and body by their schemas', async () => {
    const { url } = await listening();
    const made = await request(url).post('/v1/things').send({ name: 'a' });
    expect([made.status, made.body]).toEqual([201, { name: 'a', count: 1 }]);
    const read = await request(url).get('/v1/things/6BA7B810-9DAD-11D1-80B4-00C04FD430C8?limit=3');
    expect(read.body).toEqual({ id: '6ba7b810-9dad-11d1-80b4-00c04fd430c8', limit: 3 });
  });
});

describe('the routes that every app has', () => {
  it('serve health, readiness, version, metrics and problems', async () => {
    const { url } = await listening();
    expect((await request(url).get('/healthz')).body).toEqual({ alive: true });
    expect((await request(url).get('/readyz')).body).toMatchObject({ ready: true, checks: { disk: { ok: true } } });
    expect((await request(url).get('/version')).body).toMatchObject({ app: 'tunnel-relay', protocols: ['v3'] });
    expect((await request(url).get('/problems')).body).toContainEqual(
      expect.objectContaining({ code: 'domain-busy', status: 409 }),
    );
    const page = await request(url).get('/problems/domain-busy');
    expect([page.status, page.type]).toEqual([200, 'text/html']);
    expect((await request(url).get('/problems/nope')).body.code).toBe('not-found');
    const { text } = await request(url).get('/metrics');
    expect(text).toContain('http_request_duration_seconds_count{method="GET",route="/healthz",status="200"} 1');
  });

  it('openapi.json holds every route with its permission and its problems', async () => {
    const { url } = await listening();
    const { body } = await request(url).get('/openapi.json');
    expect(body.openapi).toBe('3.1.0');
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining(['/v1/things', '/v1/things/{id}', '/v1/step', '/v1/echo/{id}', '/readyz']),
    );
    const make = body.paths['/v1/things'].post;
    expect(make.security).toEqual([{ bearer: ['operate'] }]);
    expect(make.responses['409'].description).toBe('domain-busy');
    expect(body.paths['/v1/step'].post.responses['202']).toBeDefined();
  });

  it('describes a registry as text, and finds its faults', () => {
    expect(describeRoutes(specRoutes())).toBe(
      [
        'GET /v1/things [read] -> 200; -',
        'GET /v1/things/:id [read] -> 200; -',
        'POST /v1/step [migrate-send] -> 200 or 202; -',
        'POST /v1/things [operate] -> 201; domain-busy',
      ].join('\n'),
    );
    const [route] = specRoutes();
    if (route === undefined) throw new Error('no route');
    expect(routeFaults(specRoutes())).toEqual([]);
    expect(routeFaults([route, { ...route, path: '/v1/things/:id', summary: '' }, route])).toEqual([
      'POST /v1/things/:id has no summary',
      'POST /v1/things/:id has the path parameters [id] and the schema []',
      'POST /v1/things is declared twice',
    ]);
    expect(() => specService({ routes: [route, route] })).toThrow(/declared twice/);
  });
});

describe('Prefer: wait', () => {
  it('200 when the step is done in time, 202 with a Location when it is not', async () => {
    let finish = (_: { done: boolean }) => {};
    const step = new Promise<{ done: boolean }>((resolve) => {
      finish = resolve;
    });
    const { url } = await listening({ routes: specRoutes(() => step) });
    const early = await request(url).post('/v1/step').set('prefer', 'wait=0');
    expect([early.status, early.headers.location, early.headers['preference-applied']]).toEqual([
      202,
      '/v1/migrations/m1',
      'wait=0',
    ]);
    const long = request(url)
      .post('/v1/step')
      .set('prefer', 'wait=30')
      .then((res) => res);
    finish({ done: true });
    const res = await long;
    expect([res.status, res.body]).toEqual([200, { done: true }]);
  });

  it('is cut short by a drain', async () => {
    const { url, service } = await listening({ routes: specRoutes(() => new Promise(() => undefined)) });
    const arrived = once(service.server, 'request');
    const waiting = request(url)
      .post('/v1/step')
      .set('prefer', 'wait=60')
      .then((res) => res);
    await arrived;
    await service.drain();
    expect((await waiting).status).toBe(202);
  });
});

describe('drain', () => {
  it('readyz says 503, work is refused, and what runs is finished', async () => {
    let finish = () => {};
    const held = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const slow = defineRoute({
      method: 'post',
      path: '/v1/slow',
      summary: 'Takes its time.',
      permission: 'operate',
      reply: { status: 204 },
      problems: [],
      handler: () => held.then(() => ({})),
    });
    const { port, service } = await listening({ routes: [slow] });
    // One connection, so that requests still reach the server after it has stopped to accept.
    const socket = net.connect(port, '127.0.0.1');
    let answers = '';
    socket.on('data', (chunk) => {
      answers += chunk.toString();
    });
    const post = 'POST /v1/slow HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n';
    const arrived = once(service.server, 'request');
    socket.write(post);
    await arrived;
    const drained = service.drain();
    const both = new Promise<void>((resolve) => {
      let count = 0;
      service.server.on('request', () => {
        count += 1;
        if (count === 2) resolve();
      });
    });
    socket.write(`GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n${post.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n')}`);
    await both;
    finish();
    await once(socket, 'close');
    await drained;
    expect(answers.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 204', 'HTTP/1.1 503', 'HTTP/1.1 503']);
    expect(answers).toMatch(/"code":"draining"/);
  });

  it('goes on listening while it only refuses work: reads and what acts on what runs are answered', async () => {
    const running = defineRoute({
      method: 'delete',
      path: '/v1/running',
      summary: 'Ends what runs.',
      permission: 'operate',
      whileDraining: true,
      reply: { status: 204 },
      problems: [],
      handler: () => ({}),
    });
    const { url, port, service } = await listening({ routes: [...specRoutes(), running] });
    service.refuseWork();
    expect((await request(url).get('/v1/things')).status).toBe(200);
    expect((await request(url).get('/readyz')).body.checks.serving).toEqual({ ok: false, detail: 'shutting down' });
    expect((await request(url).delete('/v1/running')).status).toBe(204);
    const refused = await request(url).post('/v1/things').send({ name: 'a' });
    expect([refused.status, refused.body.code, refused.headers['retry-after']]).toEqual([503, 'draining', '1']);
    const upgrade = await talk(
      port,
      'GET /v1/echo/9 HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: spec-1\r\nx-vmferry-ticket: right\r\n\r\n',
    );
    expect(upgrade).toMatch(/^HTTP\/1\.1 503 .*retry-after: 1.*"code":"draining"/s);
  });

  it('is not held up by a connection that was answered while it drained and then kept', async () => {
    const limits = { keepAliveTimeoutMs: 60_000, drainTimeoutMs: 60_000 };
    const { url, service } = await listening({ routes: specRoutes(() => new Promise(() => undefined)), limits });
    const arrived = once(service.server, 'request');
    const answer = fetch(`${url}/v1/step`, { method: 'POST' });
    await arrived;
    const drained = service.drain();
    expect((await answer).status).toBe(202);
    await drained;
  });

  it('does not wait for ever: what has not ended is cut', async () => {
    const { port, service } = await listening({ routes: specRoutes(), limits: { drainTimeoutMs: 50 } });
    const arrived = once(service.server, 'request');
    const unfinished = talk(
      port,
      'POST /v1/things HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{',
    );
    await arrived;
    await service.drain();
    expect(await unfinished).toBe('');
  });
});

describe('upgrades', () => {
  const head = (ticket: string, protocol = 'spec-1') =>
    `GET /v1/echo/9 HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: ${protocol}\r\nx-vmferry-ticket: ${ticket}\r\n\r\n`;

  it('are accepted with 101, and bytes sent behind the request are the head', async () => {
    const { port } = await listening();
    const answer = await talk(port, `${head('right')}early`);
    expect(answer).toMatch(/^HTTP\/1\.1 101 [\s\S]*upgrade: spec-1[\s\S]*head:early$/);
  });

  it('that fail behind the 101 are closed, and nothing is written into the stream', async () => {
    const { port, service } = await listening();
    expect(await talk(port, head('right').replace('/echo/9', '/echo/breaks'))).toMatch(/^HTTP\/1\.1 101 [^{]*\r\n\r\n$/);
    expect(service.logged.join()).toMatch(/no descriptor is left/);
  });

  it('are refused with a problem document', async () => {
    const { port } = await listening();
    expect(await talk(port, head('wrong'))).toMatch(/^HTTP\/1\.1 403 [\s\S]*"code":"ticket-invalid"/);
    expect(await talk(port, head('right', 'websocket'))).toMatch(/^HTTP\/1\.1 400 [\s\S]*spec-1/);
    expect(await talk(port, head('right').replace('/echo/', '/nothing/'))).toMatch(/^HTTP\/1\.1 404 /);
  });
});
