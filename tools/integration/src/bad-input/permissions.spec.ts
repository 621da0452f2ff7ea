import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppProcess } from '@vmferry/lab';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, ask } from '../steps/ask.js';

/** As the README tells them. */
const permissions = ['read', 'operate', 'migrate-send', 'migrate-receive', 'agent', 'relay', 'admin'];
const names = ['source-agent', 'destination-agent', 'tunnel-relay'] as const;
const folder = mkdtempSync(join(tmpdir(), 'vfp-'));
const tokenFile = join(folder, 'tokens.json');
const tokenOf = (permission: string) => `token-that-may-${permission}`;
const apps = new Map(
  names.map((name) => {
    const options = ['--state-dir', join(folder, 'state'), '--runtime-dir', join(folder, 'run'), '--token-file', tokenFile];
    return [name, new AppProcess(name, join(folder, `${name}.log`), () => options)];
  }),
);

beforeAll(async () => {
  const tokens = permissions.map((permission) => ({
    name: permission,
    sha256: createHash('sha256').update(tokenOf(permission)).digest('hex'),
    permissions: [permission],
  }));
  writeFileSync(tokenFile, JSON.stringify({ tokens }));
  for (const app of apps.values()) await app.start();
});
afterAll(async () => {
  for (const app of apps.values()) await app.stop();
  rmSync(folder, { recursive: true });
});

interface Operation {
  readonly method: string;
  readonly path: string;
  /** Null: public, or a door with a ticket of its own. */
  readonly needs: string | null;
}

/** Every operation of an app, as its own document tells it. */
async function operationsOf(url: string): Promise<Operation[]> {
  const { body } = await ask(url, '/openapi.json', { method: 'GET' });
  const paths = body.paths as Record<string, Record<string, { security?: { bearer: string[] }[] }>>; // An OpenAPI document has them.
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { security }]) => ({ method, path, needs: security?.[0]?.bearer[0] ?? null })),
  );
}

/** With ids that are nobody's, and a body that says nothing. */
function send(url: string, { method, path }: Operation, token?: string): Promise<Answer> {
  const verb = method.toUpperCase() as 'GET' | 'POST' | 'PATCH' | 'DELETE';
  return ask(url, path.replace(/\{[a-zA-Z]+\}/g, randomUUID()), {
    method: verb,
    ...(verb === 'POST' || verb === 'PATCH' ? { body: {} } : {}),
    ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
  });
}

describe.each(names)('threat 8: every token at every operation of the %s', (name) => {
  it('threat 8: one of another permission is refused with 403 before anything is read, and none or a wrong one with 401', async () => {
    const url = apps.get(name)?.url ?? '';
    const guarded = (await operationsOf(url)).filter(({ needs }) => needs !== null);
    expect(guarded.length).toBeGreaterThan(4);
    for (const operation of guarded) {
      const what = `${operation.method} ${operation.path}`;
      for (const permission of permissions.filter((other) => other !== operation.needs)) {
        const { status, body } = await send(url, operation, tokenOf(permission));
        expect([what, permission, status, body.code]).toEqual([what, permission, 403, 'forbidden']);
      }
      for (const token of [undefined, 'nobody-knows-this-one']) {
        const { status, body } = await send(url, operation, token);
        expect([what, token, status, body.code]).toEqual([what, token, 401, 'unauthenticated']);
      }
    }
  });

  it('threat 8: the one that an operation asks for gets as far as the request itself', async () => {
    const url = apps.get(name)?.url ?? '';
    for (const operation of await operationsOf(url)) {
      // A stream of events answers for as long as somebody listens.
      if (operation.needs === null || operation.path === '/v1/events') continue;
      const { status } = await send(url, operation, tokenOf(operation.needs));
      expect([200, 201, 204, 400, 404, 409, 422], `${operation.method} ${operation.path}: ${status}`).toContain(status);
    }
  });

  it('threat 8: what asks for no token tells nothing of guests, and what is public is known by name', async () => {
    const url = apps.get(name)?.url ?? '';
    const open = (await operationsOf(url)).filter(({ needs }) => needs === null).map(({ path }) => path);
    const byTicket = open.filter((path) => /\/(stream|attach)$/.test(path));
    const standard = ['/healthz', '/readyz', '/version', '/problems', '/problems/{code}', '/openapi.json'];
    expect(open.filter((path) => !byTicket.includes(path)).sort()).toEqual(standard.sort());
    expect(byTicket.length).toBeLessThanOrEqual(1);
  });
});
