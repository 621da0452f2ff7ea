import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LifecycleEventDocument } from '@vmferry/api';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventLog } from './event-log.js';

let path: string;
let reported: { readonly path: string; readonly lines: number }[];
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'events-')), 'agent.events');
  reported = [];
});
afterEach(() => rmSync(join(path, '..'), { recursive: true, force: true }));

const open = () => EventLog.open(path, (fault) => reported.push(fault));

function eventOf(id: number): LifecycleEventDocument {
  return {
    id,
    at: '2026-01-01T00:00:00.000Z',
    hostName: 'here',
    domain: { uuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8', name: 'gäst' },
    event: 'started',
    detail: 'booted',
    libvirt: { event: 2, detail: 0 },
  };
}

function write(from: number, to: number): void {
  const log = open();
  for (let id = from; id <= to; id += 1) log.append(eventOf(id));
  log.close();
}

function idsNow(): number[] {
  const log = open();
  const ids = log.kept.map(({ id }) => id);
  log.close();
  return ids;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe('the log of lifecycle events', () => {
  it('has in its next life what was appended in the one before', () => {
    write(1, 3);
    write(4, 5);
    expect(idsNow()).toEqual([1, 2, 3, 4, 5]);
    expect(reported).toEqual([]);
  });

  it('keeps the last 10000, over rotations and lives, and its files stay bounded', () => {
    write(1, 12_345);
    expect(idsNow()).toEqual(range(2_346, 12_345));
    write(12_346, 31_000);
    expect(idsNow()).toEqual(range(21_001, 31_000));
    const lines = (file: string) => readFileSync(file, 'utf8').split('\n').length - 1;
    expect([lines(path), lines(`${path}.old`)]).toEqual([1_000, 10_000]);
    expect(existsSync(`${path}.old.old`)).toBe(false);
  });

  it('cut at any byte, as by a crash, it has every whole line, and the next event stands on a line of its own', () => {
    write(1, 4);
    const whole = readFileSync(path);
    fc.assert(
      fc.property(fc.nat(whole.length), (length) => {
        writeFileSync(path, whole);
        truncateSync(path, length);
        const left = whole.subarray(0, length).toString().split('\n').length - 1;
        expect(idsNow()).toEqual(range(1, left));
        write(9, 9);
        expect(idsNow()).toEqual([...range(1, left), 9]);
      }),
    );
    expect(reported).toEqual([]);
  });

  it('whatever a line of it becomes, the other events are there, in order, and it is reported', () => {
    write(1, 4);
    const whole = readFileSync(path, 'utf8').trimEnd().split('\n');
    const damage = fc.oneof(
      fc.constant('{}'),
      fc.constant('\0\0\0'),
      fc.constant(JSON.stringify(eventOf(0))),
      fc.string().filter((text) => !text.includes('\n')),
    );
    fc.assert(
      fc.property(fc.nat(3), damage, (line, text) => {
        reported = [];
        writeFileSync(path, `${whole.with(line, text).join('\n')}\n`);
        expect(idsNow()).toEqual([1, 2, 3, 4].filter((id) => id !== line + 1));
        expect(reported).toEqual([{ path, lines: 1 }]);
      }),
    );
  });

  it('an id that does not grow is no event of this log', () => {
    write(5, 6);
    appendFileSync(path, `${JSON.stringify(eventOf(6))}\n${JSON.stringify(eventOf(2))}\n`);
    expect(idsNow()).toEqual([5, 6]);
    expect(reported).toEqual([{ path, lines: 2 }]);
  });

  it('what cannot be written whole was never there', () => {
    const full = EventLog.open('/dev/full', (fault) => reported.push(fault));
    expect(() => full.append(eventOf(1))).toThrow();
    expect(full.kept).toEqual([]);
    const log = open();
    expect(() => log.append({ ...eventOf(1), hostName: 'x'.repeat(3_000) })).toThrow(/at most 2048/);
    log.append(eventOf(2));
    log.close();
    expect(idsNow()).toEqual([2]);
  });

  it('a place that cannot be one is refused at once', () => {
    expect(() => EventLog.open(join(path, 'no', 'folder'), () => undefined)).toThrow(/cannot be kept/);
  });
});
