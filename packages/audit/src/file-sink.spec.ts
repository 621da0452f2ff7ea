import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AuditFile, verifyAuditFile } from './file-sink.js';
import type { AuditRecord } from './records.js';

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'audit-')), 'audit.log');
});
afterEach(() => rmSync(join(path, '..'), { recursive: true, force: true }));

const at = new Date(Date.UTC(2026, 0, 1));

function record(text: string): AuditRecord {
  return { type: 'VIRT_CONTROL', success: true, text };
}

async function write(...texts: string[]): Promise<void> {
  const file = await AuditFile.open(path, at);
  await file.append(at, texts.map(record));
  await file.close();
}

function lines(): string[] {
  return readFileSync(path, 'utf8').trimEnd().split('\n');
}

describe('the audit file', () => {
  it('numbers and chains records over the lives of its writer', async () => {
    await write('one', 'two');
    await write('three');
    expect(lines().map((line) => line.replace(/ hash=.*/, ''))).toEqual(
      ['one', 'two', 'three'].map(
        (text, index) => `seq=${index + 1} time=2026-01-01T00:00:00.000Z type=VIRT_CONTROL success=yes ${text}`,
      ),
    );
    expect(await verifyAuditFile(path)).toMatchObject({ records: 3, torn: 0 });
  });

  it('keeps the order of the calls that are under way together', async () => {
    const file = await AuditFile.open(path, at);
    const texts = Array.from({ length: 200 }, (_, index) => `record-${index}`);
    await Promise.all(texts.map((text) => file.append(at, [record(text)])));
    await file.close();
    expect(lines().map((line) => / success=yes (\S+)/.exec(line)?.[1])).toEqual(texts);
    await expect(file.append(at, [record('late')])).rejects.toMatchObject({ code: 'internal' });
  });

  it('refuses a record of two lines, and writes those beside it', async () => {
    const file = await AuditFile.open(path, at);
    const outcomes = await Promise.allSettled(
      ['one', 'a\nb', 'x'.repeat(70_000), 'two'].map((text) => file.append(at, [record(text)])),
    );
    await file.close();
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(await verifyAuditFile(path)).toMatchObject({ records: 2 });
  });

  it('reports a full disk, and goes on when there is room again', async () => {
    const full = await AuditFile.open('/dev/full', at);
    await expect(full.append(at, [record('one')])).rejects.toMatchObject({ code: 'state-unwritable' });
    await expect(full.append(at, [record('two')])).rejects.toMatchObject({ code: 'state-unwritable' });
    await full.close();
    await expect(AuditFile.open(join(path, 'no', 'folder'), at)).rejects.toMatchObject({ code: 'state-unwritable' });
  });

  it('any change of a record, any record left out, doubled or moved is found', async () => {
    await write(...Array.from({ length: 6 }, (_, index) => `record-${index}`));
    const whole = lines();
    const damage = fc.oneof(
      fc.record({ t: fc.constant('change' as const), line: fc.nat(5), column: fc.nat(150) }),
      fc.record({ t: fc.constant('omit' as const), line: fc.nat(4) }),
      fc.record({ t: fc.constant('double' as const), line: fc.nat(5) }),
      fc.record({ t: fc.constant('swap' as const), line: fc.nat(4) }),
    );
    await fc.assert(
      fc.asyncProperty(damage, async (how) => {
        const damaged = [...whole];
        const line = damaged[how.line] ?? '';
        if (how.t === 'omit') damaged.splice(how.line, 1);
        if (how.t === 'double') damaged.splice(how.line, 0, line);
        if (how.t === 'swap') damaged.splice(how.line, 2, damaged[how.line + 1] ?? '', line);
        if (how.t === 'change') {
          const column = how.column % line.length;
          damaged[how.line] = `${line.slice(0, column)}${line[column] === 'x' ? 'y' : 'x'}${line.slice(column + 1)}`;
        }
        writeFileSync(path, `${damaged.join('\n')}\n`);
        await expect(verifyAuditFile(path)).rejects.toMatchObject({ code: 'state-unreadable' });
      }),
    );
  });
});

describe('after a crash', () => {
  it('threat 17: cut at any byte, what is left is kept, marked, and covered by the chain', async () => {
    await write('one', 'two', 'three');
    const whole = readFileSync(path);
    for (let length = 0; length <= whole.length; length += 1) {
      writeFileSync(path, whole);
      truncateSync(path, length);
      await write('after');
      const now = readFileSync(path);
      expect(now.subarray(0, length).equals(whole.subarray(0, length))).toBe(true);
      const ends = lines().filter((_, index, all) => index < all.length - 1).length;
      const left = whole.subarray(0, length).toString();
      const torn = left !== '' && !left.endsWith('\n') && !/ hash=[0-9a-f]{64}$/.test(left) ? 1 : 0;
      const found = await verifyAuditFile(path);
      expect(found.torn).toBe(torn);
      expect(ends).toBe(found.records - 1 + torn);
    }
  });

  it('marks also whole lines of rubbish, and a second crash', async () => {
    await write('one');
    appendFileSync(path, '\0\0\0\n\xff\xfe half');
    await write('two');
    appendFileSync(path, 'more\n\n');
    await write('three');
    expect(await verifyAuditFile(path)).toMatchObject({ records: 5, torn: 2 });
    const changed = readFileSync(path, 'utf8').replace('half', 'hxlf');
    writeFileSync(path, changed);
    await expect(verifyAuditFile(path)).rejects.toMatchObject({ code: 'state-unreadable' });
  });

  it('finds the end of a long file by its tail, also right behind a mark', async () => {
    await write(...Array.from({ length: 40 }, (_, index) => `${index} ${'x'.repeat(10_000)}`));
    for (const text of ['next', 'and next']) {
      appendFileSync(path, 'torn');
      await write(text);
    }
    expect(await verifyAuditFile(path)).toMatchObject({ records: 44, torn: 2 });
  });

  it('refuses a file that is none of ours', async () => {
    writeFileSync(path, 'hello\n'.repeat(100_000));
    await expect(AuditFile.open(path, at)).rejects.toMatchObject({ code: 'state-unreadable' });
  });

  it('threat 17: killed at any moment, it holds every record that was acknowledged', async () => {
    const program = `
      import { AuditFile } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
      const file = await AuditFile.open(process.argv[1], new Date());
      for (let count = Number(process.argv[2]) + 1; ; count += 1) {
        await file.append(new Date(), [{ type: 'VIRT_CONTROL', success: true, text: 'n=' + count + ' ' + 'x'.repeat((count % 5) * 9000) }]);
        process.stdout.write(count + '\\n');
      }`;
    let acknowledged = 0;
    for (let round = 0; round < 8; round += 1) {
      const writer = spawn(process.execPath, ['--input-type=module', '-e', program, path, String(acknowledged)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = once(writer, 'close');
      let pending = '';
      for await (const chunk of writer.stdout) {
        pending += String(chunk);
        const whole = pending.split('\n');
        pending = whole.pop() ?? '';
        acknowledged = Math.max(acknowledged, ...whole.map(Number));
        writer.kill('SIGKILL');
      }
      await ended;
      await (await AuditFile.open(path, at)).close();
      await verifyAuditFile(path);
      const seen = new Set(lines().map((line) => / n=(\d+) /.exec(line)?.[1]));
      for (let count = 1; count <= acknowledged; count += 1) expect(seen.has(String(count))).toBe(true);
    }
    expect(acknowledged).toBeGreaterThanOrEqual(8);
  }, 60_000);
});
