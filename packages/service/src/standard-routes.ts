import { readyReply, type VersionReply, versionReply, z } from '@vmferry/api';
import { errorCodes, VmferryError } from '@vmferry/errors';
import type { Metrics } from './metrics.js';
import { openApiDocument } from './openapi.js';
import { defineRoute, type Route, type UpgradeRoute } from './route.js';

export interface ReadyCheck {
  readonly ok: boolean;
  /** For a person: what is wrong and what to do, or what was found. */
  readonly detail: string;
}

const problemTypes = z
  .array(z.object({ code: z.string(), status: z.int(), libvirtCode: z.int(), retryable: z.boolean(), title: z.string() }))
  .openapi('ProblemTypes');

export interface StandardRouteSetting {
  readonly app: string;
  readonly routes: readonly Route[];
  readonly upgrades: readonly UpgradeRoute[];
  readonly metrics: Metrics;
  version(): VersionReply;
  ready(): Promise<Readonly<Record<string, ReadyCheck>>>;
  isDraining(): boolean;
}

/** The routes that every app has beside its own. */
export function standardRoutes(setting: StandardRouteSetting): Route[] {
  const own: Route[] = [...healthRoutes(setting), ...problemRoutes()];
  let document: object | undefined;
  own.push(
    defineRoute({
      method: 'get',
      path: '/openapi.json',
      summary: 'The OpenAPI 3.1 document of this app.',
      permission: 'public',
      reply: { status: 200, schema: z.looseObject({}) },
      problems: [],
      handler() {
        document ??= openApiDocument(setting.app, setting.version().version, [...own, ...setting.routes], setting.upgrades);
        return { body: { ...document } };
      },
    }),
  );
  return own;
}

function healthRoutes(setting: StandardRouteSetting): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/healthz',
      summary: 'Whether the process is alive. Asks nothing of anything else.',
      permission: 'public',
      reply: { status: 200, schema: z.object({ alive: z.literal(true) }).openapi('Alive') },
      problems: [],
      handler: () => ({ body: { alive: true as const } }),
    }),
    defineRoute({
      method: 'get',
      path: '/readyz',
      summary: 'Whether the app takes work, check by check; 503 when it does not.',
      permission: 'public',
      reply: { status: 200, schema: readyReply },
      problems: [],
      async handler() {
        const draining: ReadyCheck = setting.isDraining()
          ? { ok: false, detail: 'shutting down' }
          : { ok: true, detail: 'serving' };
        const checks = { ...(await setting.ready()), serving: draining };
        const ready = Object.values(checks).every((check) => check.ok);
        return { status: ready ? 200 : 503, body: { ready, checks } };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/metrics',
      summary: 'Metrics in the text format of Prometheus.',
      permission: 'read',
      reply: { status: 200, contentType: 'text/plain' },
      problems: [],
      handler: async () => ({ text: await setting.metrics.text(), headers: { 'content-type': setting.metrics.contentType } }),
    }),
    defineRoute({
      method: 'get',
      path: '/version',
      summary: 'Version, protocols and features: what a peer checks before it begins.',
      permission: 'public',
      reply: { status: 200, schema: versionReply },
      problems: [],
      handler: () => ({ body: setting.version() }),
    }),
  ];
}

function problemRoutes(): Route[] {
  const types = Object.entries(errorCodes).map(([code, row]) => ({
    code,
    status: row.status,
    libvirtCode: row.libvirt,
    retryable: row.retryable,
    title: row.title,
  }));
  return [
    defineRoute({
      method: 'get',
      path: '/problems',
      summary: 'Every problem type of this API.',
      permission: 'public',
      reply: { status: 200, schema: problemTypes },
      problems: [],
      handler: () => ({ body: types }),
    }),
    defineRoute({
      method: 'get',
      path: '/problems/:code',
      summary: 'The page of one problem type, where `type` of a problem document leads.',
      permission: 'public',
      params: z.strictObject({ code: z.string().max(64) }),
      reply: { status: 200, contentType: 'text/html' },
      problems: ['not-found'],
      handler({ params }) {
        const row = types.find((type) => type.code === params.code);
        if (row === undefined)
          throw new VmferryError('not-found', 'There is no such problem type; GET /problems lists them all.');
        const again = row.retryable ? 'The same request may succeed later.' : 'The same request will fail again.';
        const text =
          `<!doctype html><html lang="en"><title>${row.code}</title><h1>${row.code}</h1><p>${row.title}.</p>` +
          `<p>HTTP status ${row.status}; libvirt's error number ${row.libvirtCode}. ${again}</p></html>`;
        return { text, headers: { 'content-type': 'text/html; charset=utf-8' } };
      },
    }),
  ];
}
