import { describe, expect, it } from 'vitest';
import { VmferryError } from './vmferry-error.js';

const at = new Date('2026-01-02T03:04:05.678Z');

describe('VmferryError', () => {
  it('keeps the first error and lists the later ones in order', () => {
    const second = new VmferryError('guest-gone', 'second').suppress(new Error('third'), at);
    const first = new VmferryError('stream-failed', 'first').suppress(second, at, { phase: 'finish' });
    expect(first.code).toBe('stream-failed');
    expect(first.suppressed.map(({ detail, code }) => [detail, code])).toEqual([
      ['second', 'guest-gone'],
      ['third', 'internal'],
    ]);
    expect(first.suppressed[0]?.phase).toBe('finish');
  });

  it('fills in a place that was not known and keeps one that was', () => {
    const error = new VmferryError('internal', 'x', { side: 'relay' }).suppress(new Error('y'), at);
    const placed = error.at({ side: 'client', phase: 'begin' });
    expect(placed.place).toEqual({ side: 'relay', phase: 'begin' });
    expect(placed.suppressed).toEqual(error.suppressed);
  });

  it('keeps 32 later errors and no more', () => {
    const error = new VmferryError('internal', 'first');
    for (let n = 0; n < 100; n++) error.suppress(new VmferryError('internal', `later ${n}`), at);
    expect(error.suppressed).toHaveLength(32);
    expect(error.suppressed.at(-1)?.detail).toBe('later 31');
  });

  it('is made from anything thrown', () => {
    const error = new VmferryError('internal', 'x');
    expect(VmferryError.from(error)).toBe(error);
    const cause = new TypeError('bad');
    expect(VmferryError.from(cause, 'monitor-failed')).toMatchObject({ code: 'monitor-failed', message: 'bad', cause });
    expect(VmferryError.from('text').message).toBe('text');
  });

  it('is told apart by its code', () => {
    const error: unknown = new VmferryError('domain-busy', 'x');
    expect(VmferryError.is(error, 'domain-busy')).toBe(true);
    expect(VmferryError.is(error, 'internal')).toBe(false);
    expect(VmferryError.is(new Error('x'), 'internal')).toBe(false);
  });
});
