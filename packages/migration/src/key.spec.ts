import fc from 'fast-check';
import { expect, it } from 'vitest';
import { keyName, permitDigest, permitMatches } from './key.js';

const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));

it('a permit matches its own digest and no other', () => {
  fc.assert(
    fc.property(
      hex(32),
      hex(32),
      (one, other) => permitMatches(one, permitDigest(one)) && (one === other || !permitMatches(other, permitDigest(one))),
    ),
  );
});

it('a digest of any other form matches nothing, and is no error', () => {
  fc.assert(fc.property(hex(32), fc.string(), (permit, digest) => !permitMatches(permit, digest)));
  expect(permitMatches('a'.repeat(32), permitDigest('a'.repeat(32)).slice(0, 62))).toBe(false);
});

it('the name of a key holds both of its parts', () => {
  expect(keyName({ id: 'm1', nonce: 'ab' })).toBe('m1.ab');
});
