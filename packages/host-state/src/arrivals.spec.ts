import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Arrivals, arrivalsIn, leavingIn } from './arrivals.js';
import { DomainStatuses } from './domain-statuses.js';

const uuid = '6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d';
const key = { id: 'm-1', nonce: 'ab'.repeat(16) };

let dir: string;
let arrivals: Arrivals;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'arrivals-'));
  arrivals = arrivalsIn(dir, { report: () => undefined });
});
afterEach(() => rmSync(dir, { recursive: true }));

it('tells by which migration a guest is coming in, until that is decided', async () => {
  expect(await arrivals.read(uuid)).toBeNull();
  await arrivals.write(uuid, key);
  expect(await arrivals.read(uuid)).toEqual(key);
  await arrivals.remove(uuid);
  expect(await arrivals.list()).toEqual([]);
});

it('what comes in and what leaves are told apart', async () => {
  const leaving = leavingIn(dir, { report: () => undefined });
  await leaving.write(uuid, key);
  expect([await arrivals.read(uuid), await leaving.read(uuid)]).toEqual([null, key]);
});

it('one that cannot be read is set aside, and is no status document that cannot be read', async () => {
  await arrivals.write(uuid, key);
  writeFileSync(join(dir, uuid, 'incoming.json'), '{"version":1,"name":"x","document":{}}');
  await expect(arrivals.read(uuid)).rejects.toMatchObject({ code: 'state-unreadable' });
  expect(await arrivals.unreadable()).toEqual([join(dir, uuid, 'incoming.json.unreadable-1')]);
  expect(await new DomainStatuses({ dir, report: () => undefined }).unreadable()).toEqual([]);
});
