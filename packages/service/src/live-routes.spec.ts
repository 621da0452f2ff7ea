import http from 'node:http';
import { waitQuery, z } from '@vmferry/api';
import { systemClock, systemRandom } from '@vmferry/seams';
import request from 'supertest';
import { afterEach, describe, expect, it } from 'vitest';
import { Publisher } from './publisher.js';
import { defineRoute, type Route } from './route.js';
import { sessionRoutes } from './session-routes.js';
import { ControlSessions } from './sessions.js';
import { type SpecService, specService } from './spec-service.js';
import { longPoll } from './waiting.js';

const running: SpecService[] = [];
afterEach(async () => {
  for (const service of running.splice(0)) await service.drain();
});

async function listening(routes: Route[]): Promise<{ url: string; service: SpecService }> {
  const service = specService({ routes });
  running.push(service);
  return { service, url: (await service.listen({ host: '127.0.0.1', port: 0 })).url };
}

const counter = z.object({ n: z.int() });

function liveRoutes(publisher: Publisher<{ n: number }>): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/live',
      summary: 'The counter.',
      permission: 'read',
      query: waitQuery,
      reply: { status: 200, schema: counter },
      problems: [],
      handler: (ctx) => longPoll(ctx, publisher, ctx.query),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/live/events',
      summary: 'The counter as it changes.',
      permission: 'read',
      reply: { status: 200, schema: counter, contentType: 'text/event-stream' },
      problems: [],
      handler: () => ({ sse: publisher }),
    }),
  ];
}

/** Opens the stream; `first` resolves with the headers and the first bytes, `all` with the whole text. */
function openEvents(url: string): Promise<{ headers: http.IncomingHttpHeaders; all: Promise<string> }> {
  return new Promise((resolve, reject) => {
    http
      .get(`${url}/v1/live/events`, (res) => {
        let text = '';
        const all = new Promise<string>((done) => res.on('end', () => done(text)));
        res.on('data', (chunk: Buffer) => {
          if (text === '') resolve({ headers: res.headers, all });
          text += chunk.toString();
        });
      })
      .on('error', reject);
  });
}

describe('live routes', () => {
  it('SSE over HTTP: headers, snapshot, phase, done, end', async () => {
    const publisher = new Publisher({ clock: systemClock, value: { n: 0 }, generation: 1 });
    const { url } = await listening(liveRoutes(publisher));
    const { headers, all } = await openEvents(url);
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    publisher.publish('phase', { n: 1 }, 2);
    publisher.publish('done', { n: 2 }, 3);
    expect(await all).toBe(
      'retry: 3000\n\nevent: snapshot\nid: 1\ndata: {"n":0}\n\nevent: phase\nid: 2\ndata: {"n":1}\n\nevent: done\nid: 3\ndata: {"n":2}\n\n',
    );
  });

  it('SSE is closed by a drain', async () => {
    const publisher = new Publisher({ clock: systemClock, value: { n: 0 }, generation: 1 });
    const { url, service } = await listening(liveRoutes(publisher));
    const { all } = await openEvents(url);
    await service.drain();
    expect(await all).toContain('event: snapshot');
  });

  it('long poll answers the newer resource with its generation as ETag', async () => {
    const publisher = new Publisher({ clock: systemClock, value: { n: 0 }, generation: 1 });
    const { url } = await listening(liveRoutes(publisher));
    expect((await request(url).get('/v1/live')).headers.etag).toBe('"1"');
    const waiting = request(url)
      .get('/v1/live?afterGeneration=1')
      .then((res) => res);
    publisher.publish('phase', { n: 7 }, 2);
    const res = await waiting;
    expect([res.body, res.headers.etag]).toEqual([{ n: 7 }, '"2"']);
    expect((await request(url).get('/v1/live?afterGeneration=2&timeoutSeconds=0')).body).toEqual({ n: 7 });
  });

  it('sessions over HTTP: create, read, renew, end', async () => {
    const sessions = new ControlSessions({ clock: systemClock, random: systemRandom });
    const { url } = await listening(sessionRoutes(sessions, 'migrate-send'));
    const made = await request(url).post('/v1/sessions').send({ ttlSeconds: 9 });
    expect([made.status, made.body.ttlSeconds]).toEqual([201, 9]);
    const path = made.headers.location ?? '';
    expect((await request(url).get(path)).body.id).toBe(made.body.id);
    expect((await request(url).post(`${path}/renew`)).status).toBe(200);
    expect((await request(url).delete(path)).status).toBe(204);
    const gone = await request(url).post(`${path}/renew`);
    expect([gone.status, gone.body.code]).toEqual([404, 'session-not-found']);
    expect((await request(url).post('/v1/sessions').send({ ttlSeconds: 0 })).status).toBe(422);
  });
});
