import type { Auditor } from '@vmferry/audit';
import { VmferryError } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';
import express, { type ErrorRequestHandler, type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import { sendAnswer, sendProblem } from './answer.js';
import { audited } from './audited.js';
import { type Authenticator, authenticate } from './authentication.js';
import { certificateOf } from './certificates.js';
import type { Log } from './log.js';
import type { Metrics } from './metrics.js';
import type { Principal } from './permission.js';
import type { Subscribable } from './publisher.js';
import { bodyReader, checked, requestIdOf, waitSecondsOf } from './request-input.js';
import { commonProblems, type Route, type RouteAnswer, type RouteContext, type UpgradeRoute } from './route.js';
import { SseClient } from './sse-client.js';
import { errorOf } from './thrown.js';

export interface ExpressAppSetting {
  readonly routes: readonly Route[];
  readonly upgrades: readonly UpgradeRoute[];
  readonly authenticator: Authenticator;
  readonly auditor: Pick<Auditor, 'api'>;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock: Clock;
  readonly draining: AbortSignal;
  readonly freshRequestId: () => string;
}

/** What is known of a request before its route is. */
interface Arrival {
  readonly requestId: string;
  readonly startedMs: number;
  route: Route | undefined;
  principal: Principal | undefined;
}

/** The express app: every route of the registry, in the order request id, permission, body, schema, handler. */
export function expressApp(setting: ExpressAppSetting): express.Express {
  const app = express();
  app.disable('x-powered-by').disable('etag').enable('case sensitive routing').enable('strict routing');
  const arrivals = new WeakMap<Request, Arrival>();
  app.use(arrive(setting, arrivals));
  for (const route of setting.routes) {
    app[route.method](route.path, admit(setting, route, arrivals), bodyReader(route), serve(setting, route, arrivals));
  }
  for (const upgrade of setting.upgrades) {
    app.get(upgrade.path, (_req, res) => {
      res.setHeader('upgrade', upgrade.protocol);
      throw new VmferryError('malformed-request', `This path takes an HTTP upgrade to ${upgrade.protocol} only.`);
    });
  }
  for (const [path, methods] of methodsByPath(setting)) app.all(path, refuseMethod(methods));
  app.use((req: Request) => {
    throw new VmferryError('not-found', `There is nothing at ${req.path.slice(0, 256)}; GET /openapi.json lists what there is.`);
  });
  app.use(answerError(setting, arrivals));
  return app;
}

function arrive(setting: ExpressAppSetting, arrivals: WeakMap<Request, Arrival>): RequestHandler {
  return (req, res, next) => {
    const requestId = requestIdOf(req.headers['x-request-id'], setting.freshRequestId);
    const arrival: Arrival = { requestId, startedMs: setting.clock.monotonicMs(), route: undefined, principal: undefined };
    arrivals.set(req, arrival);
    res.setHeader('x-request-id', requestId);
    res.setHeader('cache-control', 'no-store');
    res.setHeader('x-content-type-options', 'nosniff');
    res.once('close', () => {
      const seconds = (setting.clock.monotonicMs() - arrival.startedMs) / 1_000;
      const facts = { method: req.method, route: arrival.route?.path ?? 'none', status: res.statusCode };
      setting.metrics.observeRequest(facts, seconds);
      setting.log.debug('answered', { requestId, ...facts, seconds });
    });
    // Whoever has shown no certificate that counts learns that, and nothing else.
    certificateOf(req.socket);
    next();
  };
}

/** Permission comes first, so that a stranger learns nothing and no byte of his body is read. */
function admit(setting: ExpressAppSetting, route: Route, arrivals: WeakMap<Request, Arrival>): RequestHandler {
  return (req, _res, next) => {
    const arrival = arrivalOf(arrivals, req);
    arrival.route = route;
    const principal = authenticate(setting.authenticator, req);
    if (route.permission !== 'public' && !principal.permissions.has(route.permission)) {
      if (principal.name === 'nobody')
        throw new VmferryError('unauthenticated', 'Send a bearer token in the Authorization header.');
      throw new VmferryError('forbidden', `"${principal.name}" does not have the permission "${route.permission}".`);
    }
    arrival.principal = principal;
    if (setting.draining.aborted && route.method !== 'get' && route.whileDraining !== true) {
      throw new VmferryError('draining', 'The service is shutting down; send the request again when it is back.');
    }
    next();
  };
}

function serve(setting: ExpressAppSetting, route: Route, arrivals: WeakMap<Request, Arrival>): RequestHandler {
  return async (req, res) => {
    const ctx = contextOf(setting, route, arrivalOf(arrivals, req), req, res);
    const answer = await handle(setting, route, ctx, req);
    if ('sse' in answer) stream(setting, req, res, answer);
    else sendAnswer(res, route, answer);
  };
}

function handle(setting: ExpressAppSetting, route: Route, ctx: Omit<RouteContext, 'tell'>, req: Request): Promise<RouteAnswer> {
  if (!route.changes(ctx.body)) return route.handler({ ...ctx, tell: () => undefined });
  const call = { principal: ctx.principal.name, requestId: ctx.requestId, method: req.method, path: req.path };
  return audited(setting.auditor, ctx.log, route, call, (tell) => route.handler({ ...ctx, tell }));
}

function contextOf(
  setting: ExpressAppSetting,
  route: Route,
  arrival: Arrival,
  req: Request,
  res: Response,
): Omit<RouteContext, 'tell'> {
  if (arrival.principal === undefined) throw new Error(`${route.path} was reached without a principal`);
  const gone = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished)
      gone.abort(new VmferryError('malformed-request', 'The client closed the connection before its answer.'));
  });
  return {
    params: checked(route.params, 'params', req.params),
    query: checked(route.query, 'query', req.query),
    body: checked(route.body, 'body', req.body),
    principal: arrival.principal,
    requestId: arrival.requestId,
    waitSeconds: waitSecondsOf(req.get('prefer')),
    signal: gone.signal,
    draining: setting.draining,
    clock: setting.clock,
    log: setting.log.child({ requestId: arrival.requestId }),
    header: (name) => req.get(name),
  };
}

function stream(
  setting: ExpressAppSetting,
  req: Request,
  res: Response,
  { sse: publisher, after }: { readonly sse: Subscribable<unknown>; readonly after?: number | undefined },
): void {
  res.status(200);
  res.setHeader('content-type', 'text/event-stream; charset=utf-8');
  res.setHeader('cache-control', 'no-cache, no-transform');
  res.setHeader('x-accel-buffering', 'no');
  if (req.method === 'HEAD') {
    res.end();
    return;
  }
  res.flushHeaders();
  const given = req.get('last-event-id');
  const lastEventId = given !== undefined && /^\d{1,15}$/.test(given) ? Number(given) : after;
  const client = new SseClient(publisher, res, { clock: setting.clock, lastEventId });
  const close = () => client.close();
  if (setting.draining.aborted) close();
  setting.draining.addEventListener('abort', close, { once: true });
  res.once('close', () => {
    setting.draining.removeEventListener('abort', close);
    close();
  });
}

function methodsByPath(setting: ExpressAppSetting): Map<string, string[]> {
  const methods = new Map<string, string[]>();
  for (const { path, method } of [...setting.routes, ...setting.upgrades.map(({ path }) => ({ path, method: 'get' }))]) {
    const own = method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()];
    methods.set(path, [...(methods.get(path) ?? []), ...own]);
  }
  return methods;
}

function refuseMethod(methods: readonly string[]): RequestHandler {
  return (req, res) => {
    res.setHeader('allow', methods.join(', '));
    throw new VmferryError('method-not-allowed', `${req.method} is not a method of ${req.path}; it has ${methods.join(', ')}.`);
  };
}

function answerError(setting: ExpressAppSetting, arrivals: WeakMap<Request, Arrival>): ErrorRequestHandler {
  return (thrown: unknown, req: Request, res: Response, _next: NextFunction) => {
    const { requestId, route } = arrivalOf(arrivals, req);
    const error = errorOf(thrown);
    const facts = { requestId, method: req.method, path: req.path, error: thrown };
    if (error.row.status >= 500) setting.log.error('request failed', facts);
    else setting.log.info('request refused', facts);
    if (route !== undefined && ![...commonProblems, ...route.problems].includes(error.code)) {
      setting.log.error('a route answered a problem that it does not declare', facts);
    }
    if (res.headersSent) res.destroy();
    else sendProblem(res, error, requestId);
  };
}

function arrivalOf(arrivals: WeakMap<Request, Arrival>, req: Request): Arrival {
  const arrival = arrivals.get(req);
  if (arrival === undefined) throw new Error('a request was not registered on arrival');
  return arrival;
}
