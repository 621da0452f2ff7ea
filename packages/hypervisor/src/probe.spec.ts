import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@vmferry/seams';
import { expect, onTestFinished, test } from 'vitest';
import { runProbeImage } from './kvm-probe.js';
import { kvmProbeImage } from './kvm-probe-image.js';
import { probe } from './probe.js';

test('the installed QEMU tells its version, machines and what it can migrate with', async () => {
  const capabilities = await probe({ kvm: true, clock: systemClock });
  expect(capabilities.version.major).toBeGreaterThanOrEqual(7);
  expect(capabilities.machineAliases.q35).toMatch(/^pc-q35-\d+\.\d+$/);
  expect(capabilities.machines).toContain(capabilities.machineAliases.q35);
  expect(capabilities.migrationCapabilities).toEqual(expect.arrayContaining(['events', 'return-path', 'late-block-activate']));
  expect(capabilities.migrationParameters).toEqual(expect.arrayContaining(['downtime-limit', 'max-bandwidth']));
  expect(capabilities.commands).toContain('migrate');
  expect(capabilities.events).toContain('MIGRATION_PASS');
  expect(JSON.parse(JSON.stringify(capabilities))).toEqual(capabilities);
});

test.each(['/bin/false', '/no/such/emulator'])('%s is refused as no QEMU', async (emulator) => {
  await expect(probe({ kvm: true, emulator, clock: systemClock })).rejects.toMatchObject({
    code: 'hypervisor-unsupported',
    data: { emulator },
  });
});

test('an emulator by a relative path is refused', async () => {
  await expect(probe({ kvm: true, emulator: 'qemu', clock: systemClock })).rejects.toMatchObject({ code: 'invalid-argument' });
});

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vf-probe-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('the image of the KVM probe is what its source assembles to', () => {
  const folder = temporaryFolder();
  const source = fileURLToPath(new URL('./kvm-probe.s', import.meta.url));
  execFileSync('as', ['--64', source, '-o', join(folder, 'o')]);
  execFileSync('objcopy', ['-O', 'binary', '-j', '.text', join(folder, 'o'), join(folder, 'bin')]);
  expect(kvmProbeImage().equals(readFileSync(join(folder, 'bin')))).toBe(true);
});

test('the image of the KVM probe runs to its end on a processor that keeps up', async () => {
  expect(await runProbeImage('tcg', '/usr/bin/qemu-system-x86_64', temporaryFolder(), systemClock)).toBe(true);
});

test('an emulator that ends otherwise is no proof', async () => {
  expect(await runProbeImage('tcg', '/bin/true', temporaryFolder(), systemClock)).toBe(false);
});
