import { describe, expect, it } from 'vitest';
import { findBreak, parseTickLine, parseTicks } from './ticks.js';

describe('ticks', () => {
  it('reads the boot sector', () => {
    expect(parseTickLine('T0000002a P0001 OK')).toEqual({ counter: 42, memory: 'ok', pass: 1 });
    expect(parseTickLine('T0000002a P0001 BAD')).toEqual({ counter: 42, memory: 'bad', pass: 1 });
  });

  it('reads Linux', () => {
    expect(parseTickLine('tick 7 uptime 2.345')).toEqual({ counter: 7, memory: 'unchecked', uptimeMs: 2345 });
    expect(parseTickLine('tick 7 uptime 2.345 memory BAD')).toEqual({ counter: 7, memory: 'bad', uptimeMs: 2345 });
  });

  it.each(['', 'T2a P1 OK', 'tick x uptime 1.000', 'tick 1 uptime 1.0', '[    0.5] tick 1 uptime 1.000'])(
    'passes over %j',
    (line) => {
      expect(parseTickLine(line)).toBeUndefined();
    },
  );

  it('leaves out a line that is not complete', () => {
    expect(parseTicks('noise\r\nT00000001 P0000 OK\nT0000').map(({ counter }) => counter)).toEqual([1]);
    expect(parseTicks('tick 1 uptime 0.010\r\ntick 2 uptime 0.02').map(({ counter }) => counter)).toEqual([1]);
  });

  it('finds every kind of break', () => {
    const life = (text: string) => findBreak(parseTicks(text.replaceAll('|', '\n')));
    expect(life('T00000001 P0000 OK|T00000002 P0000 OK|')).toBeUndefined();
    expect(life('T00000001 P0000 OK|T00000003 P0000 OK|')).toBe('tick 3 follows tick 1');
    expect(life('T00000002 P0000 OK|T00000002 P0000 OK|')).toBe('tick 2 follows tick 2');
    expect(life('T00000001 P0000 BAD|')).toBe('the guest found its memory changed at tick 1');
  });
});
