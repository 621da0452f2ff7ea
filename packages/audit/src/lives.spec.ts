import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AuditFile } from './file-sink.js';
import { verifyAudit } from './lives.js';
import { type AuditReason, formatControl } from './records.js';

const uuid = '6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d';
const guest = { virt: 'kvm', name: 'web', uuid };
type Told = [file: 'source' | 'destination', op: 'start' | 'stop', pid: number | null, reason?: AuditReason];

let folder: string;
let paths: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lives-'));
  paths = ['source', 'destination'].map((name) => join(folder, name));
  for (const path of paths) writeFileSync(path, '');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** One after the other, a millisecond apart; without a process, it is a start that failed. */
async function write(...told: Told[]): Promise<void> {
  for (const [second, [file, op, pid, reason = 'migrated']] of told.entries()) {
    const at = new Date(Date.UTC(2026, 0, 1, 0, 0, 0, second));
    const audit = await AuditFile.open(join(folder, file), at);
    const process = pid === null ? {} : { pid };
    await audit.append(at, [formatControl(guest, { op, reason, success: pid !== null, ...process })]);
    await audit.close();
  }
}

describe('I7: each start and each stop exactly once', () => {
  it('over both files of a host, and over a process number that comes again', async () => {
    await write(
      ['destination', 'start', null],
      ['destination', 'start', 7],
      ['source', 'stop', 7, 'destroyed'],
      ['source', 'start', 8, 'booted'],
      ['source', 'start', 9, 'booted'],
      ['source', 'stop', 8],
      ['source', 'start', 7, 'booted'],
    );
    const { faults, running, failedStarts, files, controls } = await verifyAudit(paths);
    expect(faults).toEqual([]);
    expect(running.map(({ pid }) => pid).sort()).toEqual([7, 9]);
    expect(failedStarts[uuid]).toBe(1);
    expect(files.map(({ records }) => records)).toEqual([5, 2]);
    expect(controls).toHaveLength(6);
  });

  it.each<[string, Told[], RegExp]>([
    [
      'started twice',
      [
        ['source', 'start', 7],
        ['destination', 'start', 7],
      ],
      /process 7, .*started already/,
    ],
    [
      'stopped twice',
      [
        ['source', 'start', 7],
        ['source', 'stop', 7],
        ['destination', 'stop', 7],
      ],
      /not running/,
    ],
    ['stopped and never started', [['source', 'stop', 7, 'failed']], /stopped \(failed\) though it was not running/],
    ['a stop of no process', [['source', 'stop', null]], /tells of no process/],
  ])('%s', async (_, told, words) => {
    await write(...told);
    expect((await verifyAudit(paths)).faults).toEqual([expect.stringMatching(words)]);
  });
});

describe('threat 17: what is cut off', () => {
  beforeEach(() => write(['source', 'start', 7], ['source', 'start', 8], ['source', 'start', 9]));

  it('is borne at the end only, and told', async () => {
    const [path = ''] = paths;
    const whole = readFileSync(path);
    const second = whole.indexOf('\n', whole.indexOf('\n') + 1) + 1;
    for (const length of [second + 1, second + 50, whole.length - 2]) {
      writeFileSync(path, whole);
      truncateSync(path, length);
      const [file] = (await verifyAudit([path])).files;
      expect(file).toMatchObject({ records: 2, tornEndBytes: length - second });
    }
    truncateSync(path, 0);
    writeFileSync(path, whole.subarray(0, whole.length - 1));
    expect((await verifyAudit([path])).files).toMatchObject([{ records: 3, tornEndBytes: 0 }]);
  });

  it('is a broken chain everywhere else', async () => {
    const [path = ''] = paths;
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, 100));
    appendFileSync(path, whole.subarray(120));
    await expect(verifyAudit([path])).rejects.toMatchObject({ code: 'state-unreadable' });
    writeFileSync(path, whole);
    appendFileSync(path, 'no record\n');
    await expect(verifyAudit([path])).rejects.toMatchObject({ code: 'state-unreadable' });
  });
});
