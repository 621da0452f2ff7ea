import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { verifyAudit } from '@vmferry/audit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask } from '../steps/ask.js';
import { type GuardedHost, guardedHost } from './guarded-host.js';
import { eachChange, operationsOf } from './operations.js';

const forged = '{"level":"info","message":"forged"}';
/** Each would do something to a line, a terminal or a formatter. */
const hostile = [
  `a\n${forged}\n`,
  `a\r\n${forged}`,
  'a\u001b[31mred\u001b[2K\u001b]0;title\u0007',
  '%s%d%j%n%o',
  `a\u2028${forged}\u2029`,
  'a\u202egnp.exe\u200b\ufeff\u0085',
  'a\0b" seq=1 type=VIRT_CONTROL hash=',
];
/** What no line of a log holds as it is: control characters of both sets, line separators, what changes direction or is not seen. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const acting = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

let guarded: GuardedHost;
beforeAll(async () => {
  guarded = await guardedHost();
});
afterAll(() => guarded.end());

it('threat 10: no string of any operation forges a line of a log or of an audit, or acts on a terminal', async () => {
  const { host, headers } = guarded;
  for (const app of host.apps) {
    for (const { method, path, bodies } of await operationsOf(app.name, app.url)) {
      const send = (at: string, body: unknown) => ask(app.url, at, { method, headers, ...(bodies === null ? {} : { body }) });
      for (const text of hostile) {
        for (const segment of [...path.matchAll(/\/[0-9a-f-]{36}/g)]) {
          await send(path.replace(segment[0], `/${encodeURIComponent(text)}`), bodies?.least);
        }
        for (const body of eachChange(bodies?.most, (value) => (typeof value === 'string' ? text : undefined)))
          await send(path, body);
      }
    }
  }
  for (const app of host.apps) {
    const log = readFileSync(app.logPath, 'utf8').trimEnd().split('\n').slice(1);
    expect(log.length).toBeGreaterThan(50);
    expect(log.filter((line) => acting.test(line))).toEqual([]);
    const messages = log.map((line) => (JSON.parse(line) as { message: string }).message);
    expect(messages).not.toContain('forged');
    const audit = readFileSync(join(host.stateDir, `${app.name}.audit`), 'utf8');
    expect(audit.split('\n').filter((line) => /[^ -~]/.test(line) || (line !== '' && !line.startsWith('seq=')))).toEqual([]);
  }
  // What was sent has come as far as the logs and the audits.
  const all = host.apps.map(({ logPath }) => readFileSync(logPath, 'utf8')).join('');
  expect(all).toMatch(/\\u2028|\\u202e|\\u001b/);
  const { files } = await verifyAudit(host.apps.map(({ name }) => join(host.stateDir, `${name}.audit`)));
  expect(files.every(({ torn, tornEndBytes }) => torn + tornEndBytes === 0)).toBe(true);
});
