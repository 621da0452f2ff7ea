import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { guest, SpecDocuments } from '../spec-helper.js';
import { AppArmorLabels, parseConfinement } from './apparmor.js';
import { hasAppArmor, hasAppArmorParser, openAppArmor, runParser } from './kernel.js';
import { profileName, profileText } from './profile.js';

const uuid = '6f3c9a52-1d0e-4a7b-8c55-0f9b3f1d2e11';
/** Reads a profile in full and keeps it to itself. */
const onlyParse = ['--skip-kernel-load', '--skip-cache', '--quiet'];

if (!hasAppArmorParser()) console.warn('SKIPPED: profiles are not shown to apparmor_parser. It needs the package apparmor.');
if (!hasAppArmor())
  console.warn(
    'SKIPPED: the suite with the real AppArmor. It needs its kernel side, /sys/kernel/security/apparmor; the other specs use a double for it.',
  );

describe.runIf(hasAppArmorParser())('with the apparmor_parser of this machine', () => {
  it('a profile with all kinds of rules is read; one that is none is refused with what is wrong', async () => {
    const rules = [
      { path: '/usr/bin/qemu-system-x86_64', access: 'execute' },
      { path: '/images/a disk, "not"'.replaceAll('"', "'"), access: 'write' },
      { path: '/images/ümläut (1) & more;=+~!', access: 'write' },
      { path: '/boot/vmlinuz', access: 'read' },
      { path: '/run/vmferry/a', access: 'folder' },
      { path: '/etc/pki/qemu', access: 'read-folder' },
    ] as const;
    await runParser(onlyParse, profileText(profileName(uuid), rules));
    await expect(runParser(onlyParse, 'profile x { nonsense }')).rejects.toMatchObject({
      code: 'label-failed',
      message: /apparmor_parser ended with 1: .*syntax error/s,
    });
  });
});

it.runIf(!hasAppArmor())('a host without AppArmor does not take the driver', () => {
  expect(() => openAppArmor()).toThrow(/no AppArmor/);
});

describe.runIf(hasAppArmor() && hasAppArmorParser() && process.getuid?.() === 0)('with the AppArmor of this machine', () => {
  it('loads a profile, under which a program is executed, and unloads it', async () => {
    const kernel = openAppArmor();
    const labels = new AppArmorLabels({
      kernel,
      confinements: new SpecDocuments(parseConfinement),
      emulator: '/bin/cat',
      migrateTlsDir: null,
    });
    await labels.labelAll(guest(uuid));
    expect(kernel.isLoaded(profileName(uuid))).toBe(true);
    const [{ attribute, text } = { attribute: '', text: '' }] = await labels.execLabels({ uuid });
    const script = 'printf %s "$2" >"$1" && exec /bin/cat /proc/self/attr/current';
    expect(spawnSync('/bin/sh', ['-c', script, 'sh', attribute, text]).stdout.toString()).toContain(profileName(uuid));
    await labels.release({ uuid });
    expect(readFileSync('/sys/kernel/security/apparmor/profiles', 'utf8')).not.toContain(profileName(uuid));
  });
});
