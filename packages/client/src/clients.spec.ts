import type { ServerResponse } from 'node:http';
import net from 'node:net';
import { z } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { describe, expect, it } from 'vitest';
import { Caller } from './caller.js';
import { DestinationAgentClient } from './destination-agent-client.js';
import { readEvents } from './events.js';
import { RelayClient } from './relay-client.js';
import { json, problem, scriptedApp } from './scripted-app.js';
import { SourceAgentClient } from './source-agent-client.js';

const version = {
  app: 'source-agent',
  version: '1',
  protocols: ['v3'],
  features: [],
  hostName: 'h',
  hostUuid: 'u',
  storeId: 's',
};
const session = { id: '6ba7b810-9dad-11d1-80b4-00c04fd430c8', ttlSeconds: 15, expiresAt: '2030-01-01T00:00:00.000Z' };
const nonce = 'a'.repeat(32);

describe('a call', () => {
  it('carries token and request id, and returns the checked answer', async () => {
    const app = await scriptedApp((_heard, res) => json(res, 200, { ...version, more: 'of a later version' }));
    const client = new SourceAgentClient(`${app.url}/`, { token: 't0k', requestId: 'r1' });
    expect(await client.version()).toEqual(version);
    expect(app.heard[0]).toMatchObject({ url: '/version', headers: { 'authorization': 'Bearer t0k', 'x-request-id': 'r1' } });
  });

  it('escapes what goes into a path, and sends no body where there is none', async () => {
    const app = await scriptedApp((_heard, res) => res.writeHead(204).end());
    const client = new SourceAgentClient(app.url);
    await client.undefineDomain('a/../b ?#');
    await client.endSession(session.id);
    expect(app.heard.map(({ method, url, body }) => `${method} ${url} ${body}`)).toEqual([
      'DELETE /v1/domains/a%2F..%2Fb%20%3F%23 ',
      `DELETE /v1/sessions/${session.id} `,
    ]);
  });

  it('leaves absent query members out', async () => {
    const app = await scriptedApp((_heard, res) => json(res, 200, { migrations: [], nextCursor: null }));
    await new DestinationAgentClient(app.url).migrations({ state: 'RUNNING' });
    expect(app.heard[0]?.url).toBe('/v1/migrations?state=RUNNING');
  });

  it('an answer without a body is undefined', async () => {
    const app = await scriptedApp((_heard, res) => res.writeHead(204).end());
    expect(await new RelayClient(app.url).abortStream('x')).toBeUndefined();
  });
});

describe('what goes wrong', () => {
  const asked = async (answer: Parameters<typeof scriptedApp>[0]) => {
    const app = await scriptedApp(answer);
    return new SourceAgentClient(app.url).createSession({}).then(
      () => null,
      (thrown: unknown) => thrown as VmferryError,
    );
  };

  it('a problem document is the error that it tells of', async () => {
    const error = await asked((_heard, res) => problem(res, 409, 'domain-busy', 'Held by migration-out.'));
    expect(error).toMatchObject({ code: 'domain-busy', message: 'Held by migration-out.', place: { side: 'source' } });
  });

  it.each([
    ['a code that is not known', (res) => problem(res, 409, 'no-such-code', 'x')],
    ['an error page of something else', (res) => res.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>')],
    ['an error without a code', (res) => json(res, 500, { error: 'x' })],
    ['an error that is null', (res) => json(res, 500, null)],
    ['a body that is not JSON', (res) => res.writeHead(201).end('{"id":')],
    ['a body that is not of the contract', (res) => json(res, 201, { ...session, ttlSeconds: 'x' })],
    ['no body where one is due', (res) => res.writeHead(201).end()],
    ['a redirect', (res) => res.writeHead(302, { location: 'http://169.254.169.254/' }).end()],
    ['an answer over 16 MiB', (res) => res.writeHead(201).end('x'.repeat(17 * 1_048_576))],
  ] satisfies [string, (res: ServerResponse) => void][])('%s is peer-nonsense', async (_name, answer) => {
    expect(await asked((_heard, res) => answer(res))).toMatchObject({ code: 'peer-nonsense' });
  });

  it.each([
    ['not-found', 404, 'peer-nonsense'],
    ['draining', 503, 'peer-unreachable'],
  ] as const)('an app that answers %s to /version, with status %i, is %s', async (code, status, told) => {
    const app = await scriptedApp((_heard, res) => problem(res, status, code, 'No.'));
    const asking = new DestinationAgentClient(app.url).version();
    await expect(asking).rejects.toMatchObject({ code: told, message: `${app.url} does not say what it is: No. (${code})` });
  });

  it('no answer is peer-unreachable with its URL', async () => {
    expect(await asked((_heard, res) => res.destroy())).toMatchObject({
      code: 'peer-unreachable',
      data: { reason: 'ECONNRESET' },
    });
    const closed = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => closed.once('listening', resolve));
    const { port } = closed.address() as net.AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const url = `http://127.0.0.1:${port}`;
    await expect(new SourceAgentClient(url).version()).rejects.toMatchObject({
      code: 'peer-unreachable',
      data: { url: `${url}/version`, reason: 'ECONNREFUSED' },
    });
  });

  it('silence is peer-unreachable after the timeout, and an abort throws its own reason', async () => {
    const app = await scriptedApp(() => undefined);
    const client = new SourceAgentClient(app.url, { timeoutMs: 50 });
    await expect(client.version()).rejects.toMatchObject({ code: 'peer-unreachable' });
    const reason = new VmferryError('migration-cancelled', 'The user said so.');
    const abort = new AbortController();
    const asking = new SourceAgentClient(app.url).version({ signal: abort.signal });
    abort.abort(reason);
    await expect(asking).rejects.toBe(reason);
    await expect(client.version({ signal: abort.signal })).rejects.toBe(reason);
  });
});

describe('a peer that drips bytes', () => {
  const drip = (res: ServerResponse) => {
    const dripping = setInterval(() => res.write(' '), 10);
    res.once('close', () => clearInterval(dripping));
  };

  it.each([
    ['an answer', (caller: Caller) => caller.call({ method: 'get', path: '/version', reply: z.unknown() })],
    ['the refusal of a stream of events', (caller: Caller) => readEvents(caller, '/v1/events').next()],
  ])('is not waited for beyond the timeout in %s', async (_name, ask) => {
    const app = await scriptedApp((heard, res) => drip(res.writeHead(heard.url === '/version' ? 200 : 409)));
    const began = performance.now();
    await expect(ask(new Caller(app.url, { timeoutMs: 200 }))).rejects.toMatchObject({
      code: 'peer-unreachable',
      data: { reason: 'ECONNABORTED' },
    });
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it('may take longer than the timeout over its events', async () => {
    const app = await scriptedApp((_heard, res) => {
      drip(res.writeHead(200, { 'content-type': 'text/event-stream' }));
      setTimeout(() => res.end('\nid: 7\ndata: {}\n\n'), 300);
    });
    const abort = new AbortController();
    const events = readEvents(new Caller(app.url, { timeoutMs: 100 }), '/', { signal: abort.signal });
    expect(await events.next()).toMatchObject({ value: { id: 7 } });
  });

  it('ends with its caller all the same', async () => {
    const app = await scriptedApp((_heard, res) => drip(res.writeHead(200, { 'content-type': 'text/event-stream' })));
    const abort = new AbortController();
    const next = readEvents(new Caller(app.url, { timeoutMs: 30_000 }), '/', { signal: abort.signal }).next();
    setTimeout(() => abort.abort(new Error('enough')), 50);
    await expect(next).rejects.toThrow('enough');
  });
});

it('https to an app that speaks http is told in one sentence, without what OpenSSL says of it', async () => {
  const app = await scriptedApp((_heard, res) => res.end());
  const url = app.url.replace('http:', 'https:');
  await expect(new SourceAgentClient(url).version()).rejects.toMatchObject({
    code: 'peer-unreachable',
    message: `${url}/version does not speak TLS as https:// needs it; is it an http:// URL?`,
  });
});

describe('a step', () => {
  const body = { nonce, cookie: '' };

  it('is asked for with Prefer: wait, and again with the same body as long as it is under way', async () => {
    const app = await scriptedApp((_heard, res, count) => {
      if (count < 3) res.writeHead(202, { location: '/v1/migrations/m1' }).end();
      else json(res, 200, { cookie: 'AA==' });
    });
    expect(await new SourceAgentClient(app.url).perform('m1', body)).toEqual({ cookie: 'AA==' });
    expect(app.heard.map(({ url, headers, body: sent }) => [url, headers.prefer, JSON.parse(sent)])).toEqual(
      Array.from({ length: 3 }, () => ['/v1/migrations/m1/perform', 'wait=30', body]),
    );
  });

  it('ends by its signal while it is under way', async () => {
    const abort = new AbortController();
    const app = await scriptedApp((_heard, res, count) => {
      res.writeHead(202).end();
      if (count === 2) abort.abort(new VmferryError('session-lost', 'Gone.'));
    });
    const step = new DestinationAgentClient(app.url).finish('m1', { ...body, cancelled: false }, { signal: abort.signal });
    await expect(step).rejects.toMatchObject({ code: 'session-lost' });
  });
});
