import { describe, expect, it } from 'vitest';
import { errorCodes } from './codes.js';
import { fromProblem, toProblem } from './problem.js';
import { VmferryError } from './vmferry-error.js';

const codes = Object.keys(errorCodes) as (keyof typeof errorCodes)[];

describe('the registry of codes', () => {
  it.each(codes)('%s has a kebab-case name, an HTTP status, a libvirt number and a title', (code) => {
    const { status, libvirt, title } = errorCodes[code];
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect(libvirt).toBeGreaterThan(0);
    expect(title).not.toBe('');
  });
});

describe('a problem document', () => {
  const at = new Date('2026-01-02T03:04:05.678Z');
  const error = new VmferryError('migration-failed', 'The stream of %s broke.', {
    side: 'source',
    phase: 'perform',
    cause: new Error('a secret of the host'),
    data: { bytes: 7 },
    errors: [{ path: '/flags/0', code: 'flag-unknown', detail: 'no such flag' }],
  }).suppress(new VmferryError('peer-unreachable', 'Finish got no answer.'), at, { side: 'destination', phase: 'finish' });

  it('survives the way to a peer and back', () => {
    const wire = JSON.parse(JSON.stringify(toProblem(error, 'r1')));
    const back = fromProblem(wire);
    expect(toProblem(back, 'r1')).toEqual(toProblem(error, 'r1'));
    expect(wire).toMatchObject({ type: '/problems/migration-failed', status: 409, requestId: 'r1', libvirtCode: 9 });
    expect(wire.suppressed).toEqual([
      { side: 'destination', phase: 'finish', code: 'peer-unreachable', detail: 'Finish got no answer.', at: at.toISOString() },
    ]);
  });

  it('never carries the cause', () => {
    expect(JSON.stringify(toProblem(error))).not.toContain('secret');
  });

  it('S49: keeps text with % and empty text as it is', () => {
    expect(toProblem(error).detail).toBe('The stream of %s broke.');
    expect(toProblem(new VmferryError('internal', '')).detail).toBe('');
  });

  it.each(['made-up', '__proto__', 'toString', undefined])('with the code %s is nonsense of the peer', (code) => {
    expect(fromProblem({ code, detail: 'x' }).code).toBe('peer-nonsense');
  });

  it.each([
    [{ suppressed: 5 }, []],
    [{ suppressed: [7, null, { detail: 1 }, { code: 'no-such', detail: 'later', at: 'now', side: 'moon' }] }, ['later']],
    [{ errors: 7, data: [], detail: { a: 1 } }, []],
    [{ errors: [{ path: 1 }], data: 'x', title: 9 }, []],
  ])('takes %o as far as it is of the contract', (fields, later) => {
    const error = fromProblem({ code: 'migration-aborted', ...fields });
    expect(error).toMatchObject({ code: 'migration-aborted', message: 'The peer gave no detail.', errors: [], data: {} });
    expect(error.suppressed.map(({ detail }) => detail)).toEqual(later);
  });

  it('is small whatever a peer has put into it', () => {
    const long = 'x'.repeat(6_000_000);
    const many = <T>(entry: T) => Array.from({ length: 5_000 }, () => entry);
    const deep: unknown = JSON.parse(`${'{"a":'.repeat(3_000)}1${'}'.repeat(3_000)}`);
    const error = fromProblem({
      code: 'migration-aborted',
      detail: long,
      errors: many({ path: long, code: long, detail: long }),
      suppressed: many({ code: long, detail: long, at: long }),
      data: { deep, long, many: [long, 'short'] },
    });
    expect(JSON.stringify(toProblem(error)).length).toBeLessThan(200_000);
    expect(error.message).toMatch(/^x{4000}x*\.\.\. \[6000000 characters\]$/);
    expect([error.errors.length, error.suppressed.length]).toEqual([32, 32]);
    expect(error.data).toMatchObject({ deep: { a: { a: null } }, many: { length: 2 } });
    expect(fromProblem({ code: 'internal', data: { many: many(long) } }).data).toEqual({});
  });

  it('drops a side and a phase that do not exist', () => {
    expect(fromProblem({ code: 'internal', side: 'moon', phase: 'lunch' }).place).toEqual({});
  });
});
