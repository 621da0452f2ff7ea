import { mkdirSync, mkdtempSync, openSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { closeFd, pipe2 } from '@vmferry/posix';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { guest, SpecDocuments } from '../spec-helper.js';
import { AppArmorLabels, parseConfinement } from './apparmor.js';
import type { AppArmorKernel } from './kernel.js';

/** A double for AppArmor, which not every machine has: it keeps what it is given, and nobody enforces it. */
class DoubleAppArmor implements AppArmorKernel {
  readonly loaded = new Map<string, string>();
  readonly execAttribute = '/proc/self/attr/apparmor/exec';
  isFailing = false;

  load(profile: string): Promise<void> {
    if (this.isFailing) return Promise.reject(new VmferryError('label-failed', 'the parser refuses it'));
    this.loaded.set(/^profile (\S+)/m.exec(profile)?.[1] ?? '', profile);
    return Promise.resolve();
  }

  unload(name: string): Promise<void> {
    this.loaded.delete(name);
    return Promise.resolve();
  }

  isLoaded(name: string): boolean {
    return this.loaded.has(name);
  }
}

const uuid = '6f3c9a52-1d0e-4a7b-8c55-0f9b3f1d2e11';
const name = `vmferry-${uuid}`;

let folder: string;
let kernel: DoubleAppArmor;
let confinements: SpecDocuments<ReturnType<typeof parseConfinement>>;
let labels: AppArmorLabels;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'apparmor-')));
  kernel = new DoubleAppArmor();
  confinements = new SpecDocuments(parseConfinement);
  labels = new AppArmorLabels({ kernel, confinements, emulator: '/usr/bin/qemu-system-x86_64', migrateTlsDir: null });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const pathRules = () =>
  (kernel.loaded.get(name) ?? '')
    .split('\n')
    .filter((line) => line.includes(folder))
    .map((line) => line.trim());

it('lets QEMU use the files of its guest, from before it starts until it has ended', async () => {
  const disk = join(folder, 'disk');
  const domain = guest(uuid, { writable: [disk], readable: [folder], created: [join(folder, 'a serial, port')] });
  writeFileSync(disk, '');
  expect(await labels.labelAll(domain)).toEqual([]);
  await labels.labelOwn(domain, { folder: join(folder, 'run'), log: join(folder, 'log') });
  expect(pathRules()).toEqual([
    `"${folder}" r,`,
    `"${disk}" rwk,`,
    `"${join(folder, 'a serial, port')}" rwk,`,
    `"${folder}/run/" rwk,`,
    `"${folder}/run/**" rwk,`,
    `"${folder}/log" rwk,`,
  ]);
  expect(await labels.execLabels(domain)).toEqual([{ attribute: kernel.execAttribute, text: `exec ${name}` }]);
  expect(await labels.labelsOf(domain)).toEqual([{ model: 'apparmor', doi: '0', label: name }]);
  await labels.restoreAll(domain);
  expect([kernel.loaded.size, confinements.texts.size]).toEqual([0, 0]);
  await labels.restoreAll(domain);
});

it('lets QEMU read the certificates of the host', async () => {
  mkdirSync(join(folder, 'pki'));
  const migrateTlsDir = join(folder, 'pki');
  labels = new AppArmorLabels({ kernel, confinements, emulator: '/usr/bin/qemu-system-x86_64', migrateTlsDir });
  await labels.labelAll(guest(uuid));
  expect(pathRules()).toEqual([`"${folder}/pki/" r,`, `"${folder}/pki/**" r,`]);
});

it('adds a saved state and takes it away, and adds what is handed over as a descriptor (S15)', async () => {
  const [saved, image] = ['saved', 'image'].map((file) => join(folder, file));
  writeFileSync(image ?? '', '');
  const domain = guest(uuid);
  await labels.labelAll(domain);
  await labels.labelPath(domain, saved ?? '');
  const fd = openSync(image ?? '', 'r');
  await labels.labelImageFd(domain, fd);
  closeFd(fd);
  const { read, write } = pipe2();
  await labels.labelStreamFd(domain, write);
  closeFd(read);
  closeFd(write);
  expect(pathRules()).toEqual([`"${saved}" rwk,`, `"${image}" rwk,`]);
  await labels.restorePath(domain, saved ?? '');
  await labels.restorePath(domain, saved ?? '');
  expect(pathRules()).toEqual([`"${image}" rwk,`]);
});

it.each([
  '/a/*',
  '/a/?',
  '/a/[b]',
  '/a/{b,c}',
  '/a/^b',
  '/a/"b',
  '/a/\\b',
  '/a/@{HOME}',
  '/a/$b',
  '/a/#b',
  '/a\nb',
  '/a/../b',
  'a',
  '/a/',
  '/a//b',
])('threat 2: refuses the path %j, and loads nothing', async (path) => {
  const domain = guest(uuid, { writable: [path] });
  await expect(labels.labelAll(domain)).rejects.toMatchObject({ code: 'label-failed', data: { path } });
  expect((await labels.faults(domain)).map(({ data }) => data.path)).toEqual([path]);
  expect([kernel.loaded.size, confinements.texts.size]).toEqual([0, 0]);
});

it('threat 3: a link in the place of a disk gives no access to what it leads to; the folder above is the real one', async () => {
  mkdirSync(join(folder, 'real'));
  symlinkSync('real', join(folder, 'link'));
  symlinkSync('/etc/shadow', join(folder, 'real', 'disk'));
  await labels.labelAll(guest(uuid, { writable: [join(folder, 'link', 'disk')] }));
  expect(pathRules()).toEqual([`"${folder}/real/disk" rwk,`]);
  expect(kernel.loaded.get(name)).not.toContain('shadow');
});

describe('a profile', () => {
  it('that is static is used as it is, and stays loaded; one that is not there is refused', async () => {
    const secLabels = [{ type: 'static', model: 'apparmor', relabel: false, label: 'ours' }] as const;
    await expect(labels.labelAll(guest(uuid, { secLabels }))).rejects.toMatchObject({ code: 'label-failed' });
    kernel.loaded.set('ours', '');
    await labels.labelAll(guest(uuid, { secLabels }));
    await labels.labelPath(guest(uuid), join(folder, 'saved'));
    await labels.restorePath(guest(uuid), join(folder, 'saved'));
    expect(await labels.execLabels({ uuid })).toEqual([{ attribute: kernel.execAttribute, text: 'exec ours' }]);
    await labels.release({ uuid });
    expect([...kernel.loaded]).toEqual([['ours', '']]);
  });

  it('is none for a guest that wants none', async () => {
    await labels.labelAll(guest(uuid, { secLabels: [{ type: 'none', relabel: false }] }));
    expect([await labels.execLabels({ uuid }), await labels.labelsOf({ uuid }), kernel.loaded.size]).toEqual([[], [], 0]);
  });

  it('that cannot be loaded leaves everything as it was', async () => {
    kernel.isFailing = true;
    await expect(labels.labelAll(guest(uuid))).rejects.toMatchObject({ code: 'label-failed' });
    expect(confinements.texts.size).toBe(0);
    kernel.isFailing = false;
    await labels.labelAll(guest(uuid));
    const before = [...confinements.texts];
    kernel.isFailing = true;
    await expect(labels.labelPath(guest(uuid), join(folder, 'saved'))).rejects.toMatchObject({ code: 'label-failed' });
    expect([...confinements.texts]).toEqual(before);
  });

  it.each([
    null,
    {},
    { profile: 1, rules: null },
    { profile: 'a', rules: {} },
    { profile: 'a', rules: [{ path: '/a' }] },
    { profile: 'a', rules: [{ path: '/*', access: 'read' }] },
    { profile: 'a', rules: [{ path: '/a', access: 'all' }] },
  ])('is not read from %j', (value) => expect(() => parseConfinement(value)).toThrow());
});
