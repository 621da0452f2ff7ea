import { z } from '@vmferry/api';
import type { Route, UpgradeRoute } from './route.js';

/** The registry as text, one route a line and in order, for an app's spec to hold as its snapshot. */
export function describeRoutes(routes: readonly Route[], upgrades: readonly UpgradeRoute[] = []): string {
  const plain = routes.map((route) => {
    const accepted = route.reply.orAccepted === true ? ' or 202' : '';
    const problems = route.problems.length === 0 ? '-' : [...route.problems].sort().join(', ');
    return `${route.method.toUpperCase()} ${route.path} [${route.permission}] -> ${route.reply.status}${accepted}; ${problems}`;
  });
  const upgraded = upgrades.map(
    (route) => `UPGRADE ${route.path} [ticket] -> 101 ${route.protocol}; ${[...route.problems].sort().join(', ')}`,
  );
  return [...plain, ...upgraded].sort().join('\n');
}

/** What is wrong with a registry, in words; an app with any of these does not start. */
export function routeFaults(routes: readonly Route[]): string[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  for (const route of routes) {
    const name = `${route.method.toUpperCase()} ${route.path}`;
    if (seen.has(name)) faults.push(`${name} is declared twice`);
    seen.add(name);
    if (route.summary === '') faults.push(`${name} has no summary`);
    if (route.body !== undefined && (route.method === 'get' || route.method === 'delete'))
      faults.push(`${name} may not have a body`);
    const answersNothing = route.reply.schema === undefined && route.reply.contentType === undefined;
    if (answersNothing !== (route.reply.status === 204))
      faults.push(`${name} declares status ${route.reply.status} against its schema`);
    if (new Set(route.problems).size !== route.problems.length) faults.push(`${name} declares a problem twice`);
    const inPath = [...route.path.matchAll(/:([a-zA-Z]+)/g)].map((match) => match[1] ?? '').sort();
    const inSchema = route.params instanceof z.ZodObject ? Object.keys(route.params.shape).sort() : [];
    if (inPath.join() !== inSchema.join())
      faults.push(`${name} has the path parameters [${inPath.join(', ')}] and the schema [${inSchema.join(', ')}]`);
  }
  return faults;
}
