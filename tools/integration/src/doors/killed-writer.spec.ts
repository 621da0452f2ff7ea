import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { verifyAudit } from '@vmferry/audit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask } from '../steps/ask.js';
import { type GuardedHost, guardedHost } from './guarded-host.js';

let guarded: GuardedHost;
beforeAll(async () => {
  guarded = await guardedHost();
});
afterAll(() => guarded.end());

/** How much of the next record comes to the disk: none of it, its first byte, more, and nearly all of it. */
const parts = [0, 0.001, 0.2, 0.6, 0.97];

it.each(['source', 'destination', 'relay'] as const)(
  'threat 17: the %s is killed in the middle of its audit writes: no record is lost, and the chain covers what was torn',
  async (name) => {
    const { host, headers } = guarded;
    const app = host[name];
    const path = join(host.stateDir, `${app.name}.audit`);
    const call = () =>
      ask(app.url, name === 'relay' ? '/v1/streams' : '/v1/sessions', {
        headers,
        body: name === 'relay' ? { role: 'destination', migrationId: 'm1' } : {},
      });
    for (const [kills, part] of parts.entries()) {
      const before = statSync(path).size;
      expect((await call()).status).toBe(201);
      const { size } = statSync(path);
      // The next one is as long, or by a digit of its number longer.
      const bytes = Math.ceil((size - before) * part);
      execFileSync('prlimit', ['--pid', String(app.pid), `--fsize=${size + bytes}:unlimited`]);
      await call();
      await app.kill();
      expect(statSync(path).size, 'bytes of the record that was cut off').toBe(size + bytes);
      const left = readFileSync(path);
      const [torn] = (await verifyAudit([path])).files;
      expect(torn?.tornEndBytes).toBe(bytes);
      await app.start();
      expect(readFileSync(path).subarray(0, left.length).equals(left), 'what was there stays').toBe(true);
      const [mended] = (await verifyAudit([path])).files;
      // The first was cut off before its first byte, so it left nothing to mark.
      expect(mended).toMatchObject({ torn: kills, tornEndBytes: 0 });
    }
  },
);
