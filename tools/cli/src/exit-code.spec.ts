import { describe, expect, it } from 'vitest';
import { migrationExitCode } from './exit-code.js';
import { cancelled, failed, migrationOf, needsAttention, succeeded } from './spec/fixtures.js';

describe('the exit code of a migration', () => {
  const unknown = { runningOn: 'unknown' as const, detail: '' };
  const lost = { runningOn: 'none' as const, detail: '' };
  it.each([
    ['succeeded', succeeded, false, 0],
    ['succeeded although a cancel was asked for', succeeded, true, 0],
    ['failed, the guest safe on the source', failed, false, 1],
    ['cancelled by somebody else', cancelled, false, 1],
    ['cancelled by Ctrl-C', cancelled, true, 130],
    ['failed after Ctrl-C', failed, true, 130],
    ['failed, the guest gone', { ...failed, guest: lost }, false, 3],
    ['cancelled, the guest gone', { ...cancelled, guest: lost }, true, 3],
    ['offline, failed, the definition as it was', { ...failed, flags: ['OFFLINE'], guest: lost }, false, 1],
    ['offline, failed, where it is not known', { ...failed, flags: ['OFFLINE'], guest: unknown }, false, 3],
    ['needs attention', needsAttention, false, 3],
    ['needs attention after Ctrl-C', needsAttention, true, 3],
    ['still running when nobody watches any more', migrationOf(), false, 3],
  ])('%s', (_, migration, cancelAsked, code) => expect(migrationExitCode(migration, cancelAsked)).toBe(code));
});
