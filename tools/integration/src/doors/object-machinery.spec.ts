import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask, expectProblem } from '../steps/ask.js';
import { type GuardedHost, guardedHost } from './guarded-host.js';
import { eachChange, operationsOf } from './operations.js';

/** An object with one key more; `Object.fromEntries` makes an own property also of `__proto__`. */
const withKey = (key: string) => (value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries([...Object.entries(value), [key, { admin: true }]])
    : undefined;

let guarded: GuardedHost;
beforeAll(async () => {
  guarded = await guardedHost();
});
afterAll(() => guarded.end());

it('threat 16: no body of any operation may name the machinery of objects, however deep', async () => {
  const { host, headers } = guarded;
  let asked = 0;
  for (const app of host.apps) {
    for (const { name, method, path, bodies } of await operationsOf(app.name, app.url)) {
      if (bodies === null) continue;
      for (const key of ['__proto__', 'constructor', 'prototype']) {
        for (const body of eachChange(bodies.most, withKey(key))) {
          const answer = await ask(app.url, path, { method, headers, text: JSON.stringify(body) });
          expectProblem(answer, 400, 'malformed-request');
          expect(answer.body.detail, name).toContain(`a key "${key}"`);
          asked += 1;
        }
      }
    }
    expect((await ask(app.url, '/healthz', { method: 'GET', headers })).body).toEqual({ alive: true });
  }
  expect(asked).toBeGreaterThan(100);
});
