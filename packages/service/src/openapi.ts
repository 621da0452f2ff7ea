import { OpenAPIRegistry, OpenApiGeneratorV31, type RouteConfig } from '@asteasolutions/zod-to-openapi';
import { problem, z } from '@vmferry/api';
import { type ErrorCode, errorCodes } from '@vmferry/errors';
import { commonProblems, type Route, type UpgradeRoute } from './route.js';

/** The OpenAPI 3.1 document of an app, from the registry that also serves it. */
export function openApiDocument(
  app: string,
  version: string,
  routes: readonly Route[],
  upgrades: readonly UpgradeRoute[],
): object {
  const registry = new OpenAPIRegistry();
  registry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  for (const route of routes) registry.registerPath(operation(route));
  for (const upgrade of upgrades) registry.registerPath(upgradeOperation(upgrade));
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: { title: `vmferry ${app}`, version, license: { name: 'Apache-2.0' } },
  });
}

function operation(route: Route): RouteConfig {
  const { reply } = route;
  const content = contentOf(route);
  return {
    method: route.method,
    path: openApiPath(route.path),
    summary: route.summary,
    ...(route.permission === 'public' ? {} : { security: [{ bearer: [route.permission] }] }),
    request: {
      ...(route.params instanceof z.ZodObject ? { params: route.params } : {}),
      ...(route.query instanceof z.ZodObject ? { query: route.query } : {}),
      ...(route.body === undefined ? {} : { body: { content: { 'application/json': { schema: route.body } } } }),
    },
    responses: {
      [reply.status]: { description: 'Done.', ...(content === undefined ? {} : { content }) },
      ...(reply.orAccepted === true ? { 202: { description: 'Still under way; repeat the request, or follow Location.' } } : {}),
      ...problemResponses([...route.problems, ...commonProblems]),
    },
  };
}

function contentOf({ reply }: Route): Record<string, { schema: z.ZodType }> | undefined {
  if (reply.schema !== undefined) return { [reply.contentType ?? 'application/json']: { schema: reply.schema } };
  return reply.contentType === undefined ? undefined : { [reply.contentType]: { schema: z.string() } };
}

function upgradeOperation(upgrade: UpgradeRoute): RouteConfig {
  const names = [...upgrade.path.matchAll(/:([a-zA-Z]+)/g)].map((match) => match[1] ?? '');
  return {
    method: 'get',
    path: openApiPath(upgrade.path),
    summary: upgrade.summary,
    request: { params: z.object(Object.fromEntries(names.map((name) => [name, z.string()]))) },
    responses: {
      101: { description: `The connection speaks ${upgrade.protocol} from here on.` },
      ...problemResponses([...upgrade.problems, 'malformed-request', 'not-found', 'draining', 'internal']),
    },
  };
}

function problemResponses(codes: readonly ErrorCode[]): RouteConfig['responses'] {
  const byStatus = new Map<number, Set<ErrorCode>>();
  for (const code of codes) {
    const { status } = errorCodes[code];
    byStatus.set(status, (byStatus.get(status) ?? new Set()).add(code));
  }
  const responses: RouteConfig['responses'] = {};
  for (const [status, names] of byStatus) {
    responses[status] = {
      description: [...names].sort().join(', '),
      content: { 'application/problem+json': { schema: problem } },
    };
  }
  return responses;
}

function openApiPath(path: string): string {
  return path.replace(/:([a-zA-Z]+)/g, '{$1}');
}
