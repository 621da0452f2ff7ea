import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DocumentStore, type DocumentStoreOptions } from './document-store.js';

interface Counter {
  readonly count: number;
}

function parseCounter(value: unknown): Counter {
  if (typeof value !== 'object' || value === null || !('count' in value) || typeof value.count !== 'number')
    throw new Error('no count');
  return { count: value.count };
}

let dir: string;
let reports: { path: string; movedTo: string; reason: string }[];
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'host-state-')), 'documents');
  reports = [];
});
afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }));

function store(options: Partial<DocumentStoreOptions<Counter>> = {}): DocumentStore<Counter> {
  return new DocumentStore({
    dir,
    suffix: '.json',
    parse: parseCounter,
    version: 1,
    report: (fault) => reports.push(fault),
    ...options,
  });
}

describe('DocumentStore', () => {
  it('reads what was written, also from another store object', async () => {
    await store().write('a', { count: 1 });
    expect(await store().read('a')).toEqual({ count: 1 });
    expect(await store().read('b')).toBeNull();
    expect(JSON.parse(readFileSync(join(dir, 'a.json'), 'utf8'))).toEqual({ version: 1, name: 'a', document: { count: 1 } });
    expect(statSync(join(dir, 'a.json')).mode & 0o777).toBe(0o600);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
  });

  it('lists by name and removes durably', async () => {
    const counters = store();
    for (const name of ['b', 'a', 'c']) await counters.write(name, { count: name.charCodeAt(0) });
    await counters.remove('b');
    await counters.remove('never');
    expect(await counters.list()).toEqual([
      { name: 'a', value: { count: 97 } },
      { name: 'c', value: { count: 99 } },
    ]);
  });

  it.each(['', '.a', '..', 'a/b', '../a', 'a\0', 'ä', 'a b', 'a'.repeat(129)])('refuses the name %j', async (name) => {
    await expect(store().write(name, { count: 1 })).rejects.toMatchObject({ code: 'invalid-argument' });
    await expect(store().read(name)).rejects.toMatchObject({ code: 'invalid-argument' });
    await expect(store().remove(name)).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('keeps the order of the calls for one document', async () => {
    const counters = store();
    await Promise.all(Array.from({ length: 50 }, (_, count) => counters.write('a', { count })));
    expect(await counters.read('a')).toEqual({ count: 49 });
    expect(readdirSync(dir)).toEqual(['a.json']);
  });

  it.each([
    ['an empty file', ''],
    ['half a document', '{"version":1,"name":"a","docu'],
    ['another version', '{"version":2,"name":"a","document":{"count":1}}'],
    ['the document of another name', '{"version":1,"name":"b","document":{"count":1}}'],
    ['an invalid document', '{"version":1,"name":"a","document":{"count":"1"}}'],
    ['bytes that are no text', Buffer.from([0x22, 0xff, 0xfe, 0x22])],
    ['JSON that is no object', 'null'],
  ])('I12: %s is set aside, reported, kept and refused from then on', async (_, content) => {
    await store().write('a', { count: 7 });
    writeFileSync(join(dir, 'a.json'), content);
    const counters = store();
    await expect(counters.read('a')).rejects.toMatchObject({ code: 'state-unreadable' });
    const movedTo = join(dir, 'a.json.unreadable-1');
    expect(reports).toEqual([{ path: join(dir, 'a.json'), movedTo, reason: expect.any(String) as string }]);
    expect(readFileSync(movedTo)).toEqual(Buffer.from(content));
    for (const again of [counters, store()]) {
      await expect(again.read('a')).rejects.toMatchObject({ code: 'state-unreadable' });
      await expect(again.write('a', { count: 8 })).rejects.toMatchObject({ code: 'state-unreadable' });
      expect(await again.unreadable()).toEqual([movedTo]);
      expect([await again.isUnreadable('a'), await again.readIfReadable('a')]).toEqual([true, null]);
    }
    await counters.remove('a');
    expect(readdirSync(dir)).toEqual(['a.json.unreadable-1']);
    expect(reports).toHaveLength(1);
  });

  it('I12: one unreadable document does not hide the others', async () => {
    const counters = store();
    for (const name of ['a', 'b', 'c']) await counters.write(name, { count: 1 });
    writeFileSync(join(dir, 'b.json'), '{');
    expect((await counters.list()).map(({ name }) => name)).toEqual(['a', 'c']);
    expect(await counters.unreadable()).toEqual([join(dir, 'b.json.unreadable-1')]);
    expect([await counters.isUnreadable('c'), await counters.readIfReadable('c')]).toEqual([false, { count: 1 }]);
    expect([await counters.isUnreadable('none'), await counters.readIfReadable('none')]).toEqual([false, null]);
  });

  it('refuses a document over 4 MiB, when written and when read', async () => {
    const long = new DocumentStore<string>({ dir, suffix: '.json', parse: String, version: 1, report: () => undefined });
    await expect(long.write('a', 'x'.repeat(4 * 1024 * 1024))).rejects.toMatchObject({ code: 'state-unwritable' });
    await long.write('a', 'x'.repeat(4 * 1024 * 1024 - 100));
    truncateSync(join(dir, 'a.json'), 4 * 1024 * 1024 + 1);
    await expect(long.read('a')).rejects.toMatchObject({ code: 'state-unreadable' });
  });

  it('refuses a new document when it is full, but never an old one', async () => {
    const counters = store({ countMax: 2 });
    await counters.write('a', { count: 1 });
    await counters.write('b', { count: 1 });
    await expect(counters.write('c', { count: 1 })).rejects.toMatchObject({ code: 'state-unwritable', data: { countMax: 2 } });
    await counters.write('b', { count: 2 });
    await counters.remove('a');
    await counters.write('c', { count: 1 });
  });

  it('finds out before it says full what another process has removed', async () => {
    const counters = store({ countMax: 1 });
    await counters.write('a', { count: 1 });
    await store().remove('a');
    await counters.write('b', { count: 1 });
    expect((await counters.list()).map(({ name }) => name)).toEqual(['b']);
  });

  it('keeps the old document and leaves no file behind when a write fails', async () => {
    await store().write('a', { count: 1 });
    for (const point of ['state.write', 'state.rename']) {
      const failing = store({
        faults: (at) => {
          if (at === point) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        },
      });
      await expect(failing.write('a', { count: 2 })).rejects.toMatchObject({
        code: 'state-unwritable',
        data: { errno: 'ENOSPC' },
      });
      expect(await failing.read('a')).toEqual({ count: 1 });
    }
    expect(readdirSync(dir)).toEqual(['a.json']);
  });

  it('sweeps what a dead writer has left half-written, and leaves that of a living one', async () => {
    await store().write('a', { count: 1 });
    const dead = spawn(process.execPath, ['-e', '0']);
    await once(dead, 'exit');
    writeFileSync(join(dir, `.a.json.${dead.pid}.tmp`), '{');
    writeFileSync(join(dir, '.a.json.1.tmp'), '{');
    await store().list();
    expect(readdirSync(dir).sort()).toEqual(['.a.json.1.tmp', 'a.json']);
  });

  it('keeps any sequence of writes, reads and removes like a map does', async () => {
    const names = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({ t: fc.constant('write' as const), name: names, count: fc.integer() }),
      fc.record({ t: fc.constant('remove' as const), name: names }),
      fc.record({ t: fc.constant('reopen' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        rmSync(dir, { recursive: true, force: true });
        const model = new Map<string, Counter>();
        let counters = store();
        for (const each of steps) {
          if (each.t === 'reopen') counters = store();
          else if (each.t === 'remove') {
            model.delete(each.name);
            await counters.remove(each.name);
          } else {
            model.set(each.name, { count: each.count });
            await counters.write(each.name, { count: each.count });
          }
        }
        const listed = await counters.list();
        expect(new Map(listed.map(({ name, value }) => [name, value]))).toEqual(model);
      }),
      { numRuns: 40 },
    );
  });
});

describe('a writer that is killed', () => {
  it('leaves the old document or the new one, never a part and never none', async () => {
    await store().write('a', { count: 0 });
    const program = `
      import { DocumentStore } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
      const store = new DocumentStore({ dir: process.argv[1], suffix: '.json', parse: (value) => value, version: 1, report: () => undefined });
      for (let count = Number(process.argv[2]) + 1; ; count += 1) {
        await store.write('a', { count, filling: 'x'.repeat((count % 7) * 20000) });
        process.stdout.write(count + '\\n');
      }`;
    let last = 0;
    for (let round = 0; round < 12; round += 1) {
      const writer = spawn(process.execPath, ['--input-type=module', '-e', program, dir, String(last)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let acknowledged = last;
      let pending = '';
      const ended = once(writer, 'close');
      for await (const chunk of writer.stdout) {
        pending += String(chunk);
        const lines = pending.split('\n');
        pending = lines.pop() ?? '';
        for (const line of lines) acknowledged = Math.max(acknowledged, Number(line));
        if (acknowledged >= last + 1 + (round % 5)) writer.kill('SIGKILL');
      }
      await ended;
      const found = await store().read('a');
      expect(found?.count).toBeGreaterThanOrEqual(acknowledged);
      expect(found?.count).toBeGreaterThan(last);
      last = found?.count ?? 0;
      expect(readdirSync(dir)).toEqual(['a.json']);
    }
    expect(reports).toEqual([]);
  }, 60_000);
});
