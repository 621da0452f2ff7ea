import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemRandom } from '@vmferry/seams';
import { afterAll, describe, expect, it } from 'vitest';
import { guest, SpecDocuments } from '../spec-helper.js';
import { hasSelinux, openSelinux, withOwnFile } from './kernel.js';
import { parseLevelOwner, parseSelinuxLabel } from './labels.js';
import { parseRememberedContexts, SelinuxLabels } from './selinux.js';

const present = hasSelinux() && process.getuid?.() === 0;
if (!present)
  console.warn(
    'SKIPPED: the suite with the real SELinux. It needs root and /sys/fs/selinux mounted; the other specs use a double for the kernel.',
  );

it.runIf(!hasSelinux())('a host without SELinux does not take the driver', () => {
  expect(() => openSelinux()).toThrow(/no SELinux/);
});

describe.runIf(present)('with the SELinux of this machine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'selinux-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('labels a file and a process that is executed with the label, and gives the file back', async () => {
    const kernel = openSelinux();
    const labels = new SelinuxLabels({
      kernel,
      random: systemRandom,
      labels: new SpecDocuments(parseSelinuxLabel),
      levels: new SpecDocuments(parseLevelOwner),
      files: new SpecDocuments(parseRememberedContexts),
    });
    const disk = join(folder, 'disk');
    writeFileSync(disk, '');
    const contextOf = (path: string) => {
      let context: string | null = null;
      withOwnFile(path, (fd) => {
        context = kernel.fileContext(fd);
      });
      return context;
    };
    const before = contextOf(disk);
    const domain = guest('a', { writable: [disk] });
    await labels.labelAll(domain);
    const [found] = await labels.labelsOf(domain);
    expect(kernel.isValid(found?.label ?? '')).toBe(true);
    expect(contextOf(disk)).toBe(found?.imageLabel);
    const [{ attribute, text } = { attribute: '', text: '' }] = await labels.execLabels(domain);
    const script = 'printf %s "$2" >"$1" && exec /bin/true';
    const { status } = spawnSync('/bin/sh', ['-c', script, 'sh', attribute, text]);
    // The policy may not let this shell change to it; it knows the label in any case, or the write would have failed with 1.
    expect(status).not.toBe(1);
    await labels.restoreAll(domain, { migrated: false });
    expect(contextOf(disk)).toBe(before);
    (await labels.socketMaker(domain, 'guest'))(() => undefined);
  });
});
