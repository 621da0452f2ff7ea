import { z } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import request from 'supertest';
import { expect, it } from 'vitest';
import { defineRoute } from './route.js';
import { specRoutes, specService } from './spec-service.js';

const id = 'r-1';
const post = (service: ReturnType<typeof specService>, path: string, body: object = {}) =>
  request(service.app).post(path).set('x-request-id', id).send(body);

it('I7: a call that changes something is audited with principal and request id, as done or as refused', async () => {
  const service = specService();
  const call = { principal: 'local', requestId: id, method: 'POST', path: '/v1/things' };
  await post(service, '/v1/things', { name: 'a' }).expect(201);
  await post(service, '/v1/things', { name: 'busy' }).expect(409);
  await post(service, '/v1/things', { name: 'broken' }).expect(500);
  expect(service.audited).toEqual([
    { ...call, outcome: 'ok', success: true },
    { ...call, outcome: 'domain-busy', success: false },
    { ...call, outcome: 'internal', success: false },
  ]);
});

it('I7: what only asks is not, and neither is what is not in order', async () => {
  const asks = defineRoute({
    method: 'post',
    path: '/v1/ask',
    summary: 'Asks.',
    permission: 'read',
    changes: ({ act }) => act,
    body: z.strictObject({ act: z.boolean() }),
    reply: { status: 200, schema: z.object({}) },
    problems: [],
    handler: () => ({ body: {} }),
  });
  const service = specService({ routes: [...specRoutes(), asks] });
  await request(service.app).get('/v1/things').expect(200);
  await post(service, '/v1/things', { name: 1 }).expect(422);
  await post(service, '/v1/ask', { act: false }).expect(200);
  expect(service.audited).toEqual([]);
  await post(service, '/v1/ask', { act: true }).expect(200);
  expect(service.audited).toHaveLength(1);
});

it('I7: a handler tells the path by uuid, and what a body asks for', async () => {
  const told = defineRoute({
    method: 'post',
    path: '/v1/told/:name',
    summary: 'Tells.',
    permission: 'operate',
    params: z.strictObject({ name: z.string() }),
    body: z.strictObject({}),
    reply: { status: 200, schema: z.object({}) },
    problems: ['domain-busy'],
    handler({ params: { name }, tell }) {
      tell({ path: '/v1/told/uuid', what: 'force' });
      if (name === 'busy') throw new VmferryError('domain-busy', 'It is held.');
      return { body: {} };
    },
  });
  const service = specService({ routes: [told] });
  await post(service, '/v1/told/free').expect(200);
  await post(service, '/v1/told/busy').expect(409);
  expect(service.audited.map(({ path, outcome }) => [path, outcome])).toEqual([
    ['/v1/told/uuid', 'ok:force'],
    ['/v1/told/uuid', 'domain-busy:force'],
  ]);
});

it('I7: an act that was done is answered as done when its record has to wait, and the log says so', async () => {
  const service = specService({ auditFails: true });
  await post(service, '/v1/things', { name: 'a' }).expect(201);
  const told = service.logged.filter((line) => line.includes('a call could not be audited yet'));
  expect(told).toHaveLength(1);
  expect(told[0]).toContain('state-unwritable');
});

it('a step that is still under way is audited as accepted', async () => {
  const service = specService({ routes: specRoutes(() => new Promise(() => undefined)) });
  await request(service.app).post('/v1/step').set('prefer', 'wait=0').expect(202);
  expect(service.audited).toMatchObject([{ path: '/v1/step', outcome: 'accepted', success: true }]);
});
