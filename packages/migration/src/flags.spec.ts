import { describe, expect, it } from 'vitest';
import { type FlagName, flagBits, flagsInHex, parseFlags, supportedFlags } from './flags.js';

const known = Object.keys(flagBits) as FlagName[];

describe('S6: the flags of a migration', () => {
  it('are accepted by name when they are in the declared set', () => {
    expect([...parseFlags(supportedFlags)]).toEqual([...supportedFlags]);
    expect(parseFlags([]).size).toBe(0);
  });

  it.each(known.filter((name) => !(supportedFlags as readonly string[]).includes(name)))(
    '%s is known and refused by name',
    (name) => {
      expect(() => parseFlags(['LIVE', name])).toThrow(
        expect.objectContaining({
          code: 'flag-unsupported',
          errors: [expect.objectContaining({ path: '/flags/1', code: 'flag-unsupported' })],
        }),
      );
    },
  );

  it.each(['NON_SHARED_DISK', 'NON_SHARED_INC'])('%s is refused with what to do instead', (name) => {
    expect(() => parseFlags([name])).toThrow(/storage is not copied.*both hosts reach/);
  });

  it.each(['', 'live', 'VIR_MIGRATE_LIVE', '__proto__', 'constructor', '1'])('%j is not known', (name) => {
    expect(() => parseFlags([name])).toThrow(expect.objectContaining({ code: 'flag-unknown' }));
  });

  it('each has a bit of its own', () => {
    expect(new Set(Object.values(flagBits)).size).toBe(known.length);
    for (const bit of Object.values(flagBits)) expect(Math.log2(bit) % 1).toBe(0);
  });
});

it('S7: flags are shown in hex', () => {
  expect(flagsInHex(parseFlags(['LIVE', 'PEER2PEER', 'TUNNELLED']))).toBe('0x7');
  expect(flagsInHex(parseFlags(['CHANGE_PROTECTION']))).toBe('0x100');
  expect(flagsInHex(new Set())).toBe('0x0');
});
