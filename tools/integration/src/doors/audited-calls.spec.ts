import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask } from '../steps/ask.js';
import { eventually } from '../world/eventually.js';
import { type GuardedHost, guardedHost } from './guarded-host.js';
import { nobody, operationsOf } from './operations.js';

/** What is no GET and changes nothing, by name; `outcome` does when it is told to abort, which is asked for below. */
const onlyAsk = {
  'source-agent': [
    'POST /v1/migrations/check',
    'POST /v1/migrations/{id}/evidence',
    'POST /v1/migrations/{id}/permit',
    'POST /v1/sessions/{id}/renew',
  ],
  'destination-agent': ['POST /v1/migrations/check', 'POST /v1/migrations/{id}/outcome', 'POST /v1/sessions/{id}/renew'],
  'tunnel-relay': [],
};

let guarded: GuardedHost;
beforeAll(async () => {
  guarded = await guardedHost();
});
afterAll(() => guarded.end());

it('I7: who may not is no caller of it, and leaves no record', async () => {
  const { host } = guarded;
  for (const app of host.apps) {
    for (const { method, path, bodies } of await operationsOf(app.name, app.url)) {
      const headers = { authorization: 'Bearer nobody-knows-this-token' };
      expect((await ask(app.url, path, { method, headers, ...(bodies === null ? {} : { body: bodies.least }) })).status).toBe(
        401,
      );
    }
    expect(await readFile(join(host.stateDir, `${app.name}.audit`), 'utf8')).toBe('');
  }
});

it('I7: every operation of every app that changes something is audited, with principal and request id', async () => {
  const { host, credentials, headers } = guarded;
  for (const app of host.apps) {
    const operations = await operationsOf(app.name, app.url);
    const audit = async () => readFile(join(host.stateDir, `${app.name}.audit`), 'utf8');
    const asked = new Map<string, string>();
    for (const { name, method, path, bodies } of operations) {
      const requestId = randomUUID();
      asked.set(requestId, name);
      const { body } = await ask(app.url, path, {
        method,
        headers: { ...headers, 'x-request-id': requestId },
        ...(bodies === null ? {} : { body: bodies.least }),
      });
      expect(JSON.stringify(body.errors ?? []), `${name} took its body`).not.toMatch(/"path":"\/(body|params)/);
    }
    const told = () =>
      audit().then((text) => [...asked].filter(([id]) => text.includes(` request-id="${id}" `)).map(([, name]) => name));
    const changing = operations.map(({ name }) => name).filter((name) => !(onlyAsk[app.name] as string[]).includes(name));
    expect(changing.length, app.name).toBeGreaterThan(2);
    await eventually(async () => expect(await told()).toEqual(changing), 5_000);
    const rows = (await audit()).split('\n').filter((line) => line.includes(' type=VMFERRY_API '));
    expect(rows).toHaveLength(changing.length);
    for (const row of rows) expect(row).toContain(` principal="${credentials.name}" `);
  }
});

it('I7: a question about a record is audited when it wants it aborted', async () => {
  const { host, headers } = guarded;
  const { url, name } = host.destination;
  const body = { nonce: '0'.repeat(32), storeId: '0'.repeat(32), abortUnlessCommitted: true };
  expect((await ask(url, `/v1/migrations/${nobody}/outcome`, { headers, body })).status).toBe(200);
  expect(await readFile(join(host.stateDir, `${name}.audit`), 'utf8')).toMatch(/ path="\S+\/outcome" outcome="ok" /);
});
