import { Writable } from 'node:stream';
import { uuid, z } from '@vmferry/api';
import type { AuditedRequest } from '@vmferry/audit';
import { VmferryError } from '@vmferry/errors';
import { systemClock, systemRandom } from '@vmferry/seams';
import { type Authenticator, loadAuthenticator } from './authentication.js';
import { createLogger } from './log.js';
import { Metrics } from './metrics.js';
import { acceptUpgrade } from './raw-response.js';
import { defineRoute, type Route, type UpgradeRoute } from './route.js';
import { createService, type ServerLimits, type Service } from './service.js';
import { answerWithin } from './waiting.js';

/** The small app that the specs of this package ask. */
export interface SpecService extends Service {
  readonly logged: string[];
  readonly audited: AuditedRequest[];
}

const thing = z.strictObject({ name: z.string().max(16), count: z.int().min(0).default(1) });

export function specRoutes(step: () => Promise<{ done: boolean }> = () => Promise.resolve({ done: true })): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/things',
      summary: 'Makes a thing.',
      permission: 'operate',
      body: thing,
      bodyBytesMax: 1_024,
      reply: { status: 201, schema: thing },
      problems: ['domain-busy'],
      handler({ body }) {
        if (body.name === 'busy') throw new VmferryError('domain-busy', 'It is held.', { side: 'source' });
        if (body.name === 'broken') throw new TypeError('a secret path /etc/shadow');
        if (body.name === 'undeclared') throw new VmferryError('guest-gone', 'It is gone.');
        return { body };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/things',
      summary: 'Lists things.',
      permission: 'read',
      reply: { status: 200, schema: z.array(thing) },
      problems: [],
      handler: () => ({ body: [] }),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/things/:id',
      summary: 'Tells of a thing.',
      permission: 'read',
      params: z.strictObject({ id: uuid }),
      query: z.strictObject({ limit: z.coerce.number().int().max(10).default(5) }),
      reply: { status: 200, schema: z.object({ id: z.string(), limit: z.int() }) },
      problems: [],
      handler: ({ params, query }) => ({ body: { id: params.id, limit: query.limit } }),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/step',
      summary: 'Takes a step.',
      permission: 'migrate-send',
      reply: { status: 200, schema: z.object({ done: z.boolean() }), orAccepted: true },
      problems: [],
      handler: (ctx) => answerWithin(ctx, step(), '/v1/migrations/m1'),
    }),
  ];
}

const upgrades: UpgradeRoute[] = [
  {
    path: '/v1/echo/:id',
    summary: 'Sends back what comes.',
    protocol: 'spec-1',
    problems: ['ticket-invalid'],
    async handler({ params, request, socket, head }) {
      if (request.headers['x-vmferry-ticket'] !== 'right')
        throw new VmferryError('ticket-invalid', `No stream ${params.id} for this ticket.`);
      await acceptUpgrade(socket, 'spec-1');
      if (params.id === 'breaks') throw new Error('no descriptor is left');
      socket.end(`head:${head.toString()}`, () => socket.destroy());
    },
  },
];

export function specService(
  o: { routes?: Route[]; authenticator?: Authenticator; limits?: Partial<ServerLimits>; auditFails?: true } = {},
): SpecService {
  const logged: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      logged.push(String(chunk));
      done();
    },
  });
  const calls: AuditedRequest[] = [];
  const auditor = {
    async api(call: AuditedRequest) {
      if (o.auditFails === true) throw new VmferryError('state-unwritable', 'The disk is full.');
      calls.push(call);
    },
  };
  const log = createLogger({ app: 'tunnel-relay', level: 'debug', hostName: 'spec', stream });
  const service = createService({
    app: 'tunnel-relay',
    routes: o.routes ?? specRoutes(),
    upgrades,
    metrics: new Metrics(),
    log,
    clock: systemClock,
    random: systemRandom,
    authenticator: o.authenticator ?? loadAuthenticator(undefined),
    auditor,
    ...(o.limits === undefined ? {} : { limits: o.limits }),
    version: () => ({
      app: 'tunnel-relay',
      version: '0',
      protocols: ['v3'],
      features: [],
      hostName: 'h',
      hostUuid: 'u',
      storeId: 's',
    }),
    ready: () => Promise.resolve({ disk: { ok: true, detail: 'writable' } }),
  });
  return { ...service, logged, audited: calls };
}
