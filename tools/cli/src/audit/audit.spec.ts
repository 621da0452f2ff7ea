import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditFile, formatControl } from '@vmferry/audit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { shell } from '../spec/shell.js';

const at = new Date(Date.UTC(2026, 0, 1));
const uuid = '6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d';
const guest = { virt: 'kvm', name: 'web', uuid };

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'audit-'));
  path = join(folder, 'a.audit');
});
afterEach(() => rmSync(folder, { recursive: true }));

async function write(...told: readonly ['start' | 'stop', number][]): Promise<void> {
  const file = await AuditFile.open(path, at);
  for (const [op, pid] of told) await file.append(at, [formatControl(guest, { op, reason: 'booted', pid, success: true })]);
  await file.close();
}

it('audit verify tells the records of each file, and which guests were not stopped', async () => {
  await write(['start', 7], ['stop', 7], ['start', 8]);
  const other = join(folder, 'b.audit');
  writeFileSync(other, '');
  const { run, written } = shell();
  expect(await run('audit', 'verify', path, other)).toBe(0);
  expect(written.out).toMatch(/^\S+a.audit: 3 records, hash [0-9a-f]{64}\n\S+b.audit: 0 records, hash 0{64}\n/);
  expect(written.out).toMatch(/\nnot stopped: "web" \(\S+\), process 8, started at \S+\n3 starts and stops, 0 faults\n$/);
});

it('ends with 1 for a doubled stop, a broken chain and, told but no fault, half a record at the end', async () => {
  await write(['start', 7], ['stop', 7]);
  appendFileSync(path, 'seq=3 half');
  const torn = shell();
  expect(await torn.run('audit', 'verify', path)).toBe(0);
  expect(torn.written.out).toContain('2 records, 10 bytes of half a record at the end');
  await write(['stop', 7]);
  const doubled = shell();
  expect(await doubled.run('audit', 'verify', path, '--json')).toBe(1);
  expect(JSON.parse(doubled.written.out)).toMatchObject({ faults: [expect.stringContaining('not running')] });
  writeFileSync(path, 'no record\n', { flag: 'a' });
  const broken = shell();
  expect(await broken.run('audit', 'verify', path)).toBe(1);
  expect(broken.written.err).toContain('is no record');
});

it('ends with 2 without a file', async () => {
  expect(await shell().run('audit', 'verify')).toBe(2);
  expect(await shell().run('audit', 'verify', join(folder, 'none'))).toBe(2);
});
