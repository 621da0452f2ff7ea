import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeLockState, encodeLockState } from './lock-state.js';

const grant = fc.record({
  key: fc
    .tuple(fc.constantFrom('vm', 'disk', 'lease'), fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }))
    .map((pair) => pair.join(':')),
  epoch: fc.bigInt({ min: 0n, max: 10n ** 18n - 1n }).map(String),
});

describe('the lock state as text', () => {
  it('S23: comes back as it went', () => {
    fc.assert(
      fc.property(fc.uniqueArray(grant, { selector: ({ key }) => key, minLength: 1, maxLength: 8 }), (grants) => {
        const state = { driver: 'embedded', v: 1, grants } as const;
        expect(decodeLockState(encodeLockState(state) ?? '', 'embedded')).toEqual(state);
      }),
    );
  });

  it('is nothing when there is nothing to say', () => {
    expect(encodeLockState({ driver: 'none', v: 1, grants: [] })).toBeNull();
  });

  it.each([
    ['', 'cookie-malformed'],
    ['{', 'cookie-malformed'],
    ['null', 'cookie-malformed'],
    ['[]', 'cookie-malformed'],
    ['{"driver":"embedded","v":1}', 'cookie-malformed'],
    ['{"driver":"embedded","v":1,"grants":{}}', 'cookie-malformed'],
    ['{"driver":"embedded","v":1,"grants":[{"key":"vm:a","epoch":1}]}', 'cookie-malformed'],
    ['{"driver":"embedded","v":1,"grants":[{"key":"vm:a","epoch":"01"}]}', 'cookie-malformed'],
    ['{"driver":"embedded","v":1,"grants":[{"key":"vm:a","epoch":"-1"}]}', 'cookie-malformed'],
    ['{"driver":"embedded","v":1,"grants":[{"key":"vm:a","epoch":"1e9"}]}', 'cookie-malformed'],
    ['{"driver":"embedded","v":1,"grants":[{"key":"a","epoch":"1"}]}', 'cookie-malformed'],
    ['{"driver":"embedded","v":1,"grants":[{"key":"vm:a","epoch":"1"},{"key":"vm:a","epoch":"2"}]}', 'cookie-malformed'],
    [`{"driver":"embedded","v":1,"grants":[${'{"key":"vm:a","epoch":"1"},'.repeat(400)}]}`, 'cookie-malformed'],
    ['{"driver":"embedded","v":2,"grants":[]}', 'lock-driver-mismatch'],
    ['{"driver":"embedded-shared","v":1,"grants":[]}', 'lock-driver-mismatch'],
  ])('refuses %j', (text, code) => {
    expect(() => decodeLockState(text, 'embedded')).toThrow(expect.objectContaining({ code }) as Error);
  });
});
