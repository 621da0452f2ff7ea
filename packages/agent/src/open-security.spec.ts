import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getuid } from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSecurity } from './open-security.js';
import type { SecurityDrivers } from './options.js';

let labels: string;
beforeAll(async () => {
  labels = await mkdtemp(join(tmpdir(), 'va-'));
});
afterAll(() => rm(labels, { recursive: true, force: true }));

function open(securityDriver: SecurityDrivers, qemuUser?: string) {
  const options = { securityDriver, imageRoot: ['/'], ...(qemuUser === undefined ? {} : { qemuUser }) };
  const folders = { labels, run: '', migrations: '', locks: '' };
  return openSecurity(options, { folders }, ({ path }) => {
    throw new Error(path);
  });
}

describe('the security driver', () => {
  it('none labels nothing, dac runs QEMU as a user of its own', () => {
    expect(open('none')).toMatchObject({ name: 'none', user: null, models: [] });
    expect(open('dac', '107:109')).toMatchObject({
      name: 'dac',
      user: { uid: 107, gid: 109 },
      models: [{ model: 'dac', doi: '0' }],
    });
  });

  it('dac is refused without a user to give files to, and not taken for none', () => {
    expect(() => open('dac')).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
    expect(() => open('dac', '0:0')).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
  });

  it.runIf(getuid?.() === 0).each(['selinux', 'apparmor'] as const)(
    'threat 14: %s alone is refused to a root agent, whose QEMU would be root',
    (name) => {
      expect(() => open(name)).toThrow(new RegExp(`dac,${name}`));
    },
  );

  // What the kernel of this machine has is told by the suites of security-label.
  it.each(['dac,selinux', 'dac,apparmor'] as const)('threat 19: %s is had in full, or refused', (name) => {
    try {
      expect(open(name, '107:109')).toMatchObject({ name, user: { uid: 107, gid: 109 } });
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'invalid-argument' });
    }
  });
});
