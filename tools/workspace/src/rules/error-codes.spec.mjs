import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../packages.mjs';

/** Codes that are no answer of a route, and why. */
const internal = new Map([
  ['agent-running', 'a second agent ends before it listens'],
  ['phase-backward', 'a defect of the agent, which the job refuses'],
  ['request-timeout', 'a request that never was whole: it had no route yet'],
]);

const read = (path) => readFileSync(join(root, path), 'utf8');
const registry = [...read('packages/errors/src/codes.ts').matchAll(/^ {2}'?([a-z-]+)'?: row\(/gm)].map(([, code]) => code);

/** The sources of the product, without specs and what only they use. */
const sources = ['packages', 'apps'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .map((file) => `${folder}/${file}`)
    .filter((file) => /^[^/]+\/[^/]+\/src\/.*\.ts$/.test(file) && !/spec|testing|\/model\//.test(file)),
);

const thrown = new Set(
  sources.flatMap((file) => [...read(file).matchAll(/new VmferryError\(\s*'([a-z-]+)'/g)].map(([, code]) => code)),
);

/** What the routes of the agents declare, as their checked-in documents tell it, and those of the relay. */
function declared() {
  const codes = new Set([...read('apps/tunnel-relay/src/routes.ts').matchAll(/'([a-z-]+)'/g)].map(([, word]) => word));
  for (const app of ['source-agent', 'destination-agent']) {
    for (const path of Object.values(JSON.parse(read(`apps/${app}/openapi.json`)).paths)) {
      for (const { responses } of Object.values(path)) {
        for (const [status, { description }] of Object.entries(responses)) {
          if (Number(status) >= 400) for (const code of description.split(', ')) codes.add(code);
        }
      }
    }
  }
  return codes;
}

describe('the registry of error codes', () => {
  it('has every code that is thrown', () => {
    expect([...thrown].filter((code) => !registry.includes(code))).toEqual([]);
  });

  it('a code that is thrown is declared by a route, or is internal for a reason', () => {
    const answers = declared();
    expect([...thrown].filter((code) => !answers.has(code) && !internal.has(code))).toEqual([]);
    expect([...internal.keys()].filter((code) => answers.has(code))).toEqual([]);
  });

  it('has no code that nothing answers with', () => {
    const texts = sources.filter((file) => !/routes|errors\/src\/codes/.test(file)).map(read);
    expect(registry.filter((code) => !texts.some((text) => text.includes(`'${code}'`)))).toEqual([]);
  });
});
