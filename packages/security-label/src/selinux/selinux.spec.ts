import { chmodSync, linkSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeFd, pipe2 } from '@vmferry/posix';
import { systemRandom } from '@vmferry/seams';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { guest, SpecDocuments } from '../spec-helper.js';
import { parseContext } from './context.js';
import { DoubleSelinux } from './double-kernel.spec-helper.js';
import { fileContexts, withOwnFile } from './kernel.js';
import { parseLevelOwner, parseSelinuxLabel } from './labels.js';
import { parseRememberedContexts, SelinuxLabels } from './selinux.js';

let folder: string;
let kernel: DoubleSelinux;
let documents: ReturnType<typeof hostDocuments>;
let labels: SelinuxLabels;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'selinux-'));
  kernel = new DoubleSelinux();
  documents = hostDocuments();
  labels = agentOf(documents);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What the agents of one host share. */
function hostDocuments() {
  return {
    labels: new SpecDocuments(parseSelinuxLabel),
    levels: new SpecDocuments(parseLevelOwner),
    files: new SpecDocuments(parseRememberedContexts),
  };
}

function agentOf(host: ReturnType<typeof hostDocuments>): SelinuxLabels {
  return new SelinuxLabels({ kernel, random: systemRandom, ...host });
}

function file(name: string, context: string | null = 'system_u:object_r:virt_var_lib_t:s0'): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  withOwnFile(path, (fd) => fileContexts.setFileContext(fd, context));
  return path;
}

function contextOf(path: string): string | null {
  let context: string | null = null;
  withOwnFile(path, (fd) => {
    context = fileContexts.fileContext(fd);
  });
  return context;
}

async function labelOf(uuid: string): Promise<{ label: string; image: string }> {
  const [found] = await labels.labelsOf({ uuid });
  return { label: found?.label ?? '', image: found?.imageLabel ?? '' };
}

const heldDocuments = () => Object.values(documents).map(({ texts }) => texts.size);
const failing = (path?: string) =>
  expect.objectContaining({ code: 'label-failed', ...(path === undefined ? {} : { data: { path } }) });

// Attributes named security.* are root's to set.
describe.runIf(process.getuid?.() === 0)('selinux', () => {
  describe('generation (A8)', () => {
    it.each([
      ['of a shell without categories', 'unconfined_u:unconfined_r:unconfined_t:s0', 's0', 0, 1023],
      ['of a shell with a range without categories', 'unconfined_u:unconfined_r:unconfined_t:s0-s0', 's0', 0, 1023],
      ['of a shell with all', 'unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023', 's0', 0, 1023],
      ['of a service', 'system_u:system_r:virtd_t:s0-s0:c0.c1023', 's0', 0, 1023],
      ['of a service with few', 'system_u:system_r:virtd_t:s0-s0:c0.c10', 's0', 0, 10],
      ['of another sensitivity', 'system_u:system_r:virtd_t:s2-s3:c0.c1023', 's2', 0, 1023],
      ['without a level', 'system_u:system_r:virtd_t', 's0', 0, 1023],
    ])(
      'the range %s: two categories within it, the first below the second, the user and role of the agent',
      async (_, own, sensitivity, first, last) => {
        kernel.own = own;
        const { user, role } = parseContext(own);
        const disk = file('disk');
        await labels.labelAll(guest('a', { writable: [disk] }));
        const { label, image } = await labelOf('a');
        const process = parseContext(label);
        expect(process).toMatchObject({ user, role, type: 'svirt_t' });
        expect(parseContext(image)).toEqual({ user, role: 'object_r', type: 'svirt_image_t', level: process.level });
        const [, of, low, high] = /^(s\d):c(\d+),c(\d+)$/.exec(process.level ?? '') ?? [];
        expect(of).toBe(sensitivity);
        expect(Number(low)).toBeGreaterThanOrEqual(first);
        expect(Number(low)).toBeLessThan(Number(high));
        expect(Number(high)).toBeLessThanOrEqual(last);
        expect(contextOf(disk)).toBe(image);
        expect(await labels.execLabels({ uuid: 'a' })).toEqual([{ attribute: '/proc/self/attr/exec', text: label }]);
      },
    );

    it('gives both agents of a host no pair twice, until all are gone', async () => {
      kernel.own = 'system_u:system_r:virtd_t:s0-s0:c0.c10';
      const other = agentOf(documents);
      const guests = Array.from({ length: 55 }, (_, index) => `g${index}`);
      await Promise.all(guests.map((uuid, index) => (index % 2 === 0 ? labels : other).labelAll(guest(uuid))));
      const given = await Promise.all(guests.map(async (uuid) => (await labelOf(uuid)).label));
      expect(new Set(given).size).toBe(55);
      await expect(labels.labelAll(guest('one-more'))).rejects.toMatchObject({ code: 'label-failed' });
      await labels.restoreAll(guest('g7'), { migrated: false });
      await labels.labelAll(guest('one-more'));
      expect((await labelOf('one-more')).label).toBe(given[7]);
    });

    it('takes a type of its own for a QEMU that emulates, and the type of a base label', async () => {
      await labels.labelAll(guest('a', { emulated: true }));
      expect(parseContext((await labelOf('a')).label).type).toBe('svirt_tcg_t');
      const base = { type: 'dynamic', relabel: true, baseLabel: 'x_u:x_r:svirt_custom_t:s0' } as const;
      await labels.labelAll(guest('b', { secLabels: [base] }));
      expect(parseContext((await labelOf('b')).label)).toMatchObject({
        user: 'system_u',
        role: 'system_r',
        type: 'svirt_custom_t',
      });
    });

    it('uses a static label unchanged, leaves the files alone unless it says so, and gives its pair to nobody else', async () => {
      kernel.own = 'system_u:system_r:virtd_t:s0-s0:c0.c2';
      const disk = file('disk');
      const label = 'x_u:x_r:svirt_own_t:s0:c0,c2';
      await labels.labelAll(
        guest('a', { writable: [disk], secLabels: [{ type: 'static', model: 'selinux', relabel: false, label }] }),
      );
      expect((await labelOf('a')).label).toBe(label);
      expect(contextOf(disk)).toBe('system_u:object_r:virt_var_lib_t:s0');
      for (const uuid of ['b', 'c']) await labels.labelAll(guest(uuid));
      const given = await Promise.all(['b', 'c'].map(async (uuid) => parseContext((await labelOf(uuid)).label).level));
      expect(given.sort()).toEqual(['s0:c0,c1', 's0:c1,c2']);
      const again = guest('d', { secLabels: [{ type: 'static', relabel: false, label }] });
      await expect(labels.labelAll(again)).rejects.toMatchObject({ code: 'label-failed', data: { uuid: 'a' } });
      expect(await labels.labelsOf({ uuid: 'd' })).toEqual([]);
      await labels.restoreAll(guest('a', { writable: [disk] }), { migrated: false });
      await labels.labelAll({ ...again, writable: [disk], secLabels: [{ type: 'static', relabel: true, label }] });
      expect(contextOf(disk)).toBe('system_u:object_r:svirt_image_t:s0:c0,c2');
    });

    it.each([
      ['no context', 'static', 'svirt_t'],
      ['a context that the policy does not have', 'static', 'u:r:other_t:s0'],
    ] as const)('refuses %s before anything is labelled', async (_, type, label) => {
      const disk = file('disk');
      const domain = guest('a', { writable: [disk], secLabels: [{ type, relabel: true, label }] });
      await expect(labels.labelAll(domain)).rejects.toThrow(failing());
      expect((await labels.faults(domain)).map(({ code }) => code)).toEqual(['label-failed']);
      expect([contextOf(disk), ...heldDocuments()]).toEqual(['system_u:object_r:virt_var_lib_t:s0', 0, 0, 0]);
    });

    it('labels nothing of a guest that wants no label', async () => {
      const disk = file('disk');
      await labels.labelAll(guest('a', { writable: [disk], secLabels: [{ type: 'none', relabel: false }] }));
      expect(await labels.execLabels({ uuid: 'a' })).toEqual([]);
      expect(contextOf(disk)).toBe('system_u:object_r:virt_var_lib_t:s0');
      await labels.restoreAll(guest('a', { writable: [disk] }), { migrated: false });
    });
  });

  describe('files', () => {
    it('puts back what a file had, exactly once, also that it had none', async () => {
      const [disk, bare] = [file('disk'), file('bare', null)];
      const domain = guest('a', { writable: [disk, bare] });
      expect(await labels.labelAll(domain)).toEqual([disk, bare]);
      expect(await labels.labelAll(domain), 'nothing is new').toEqual([]);
      await agentOf(documents).restoreAll(domain, { migrated: false });
      expect([contextOf(disk), contextOf(bare)]).toEqual(['system_u:object_r:virt_var_lib_t:s0', null]);
      expect(heldDocuments()).toEqual([0, 0, 0]);
      withOwnFile(disk, (fd) => fileContexts.setFileContext(fd, 'u:object_r:other_t:s0'));
      await labels.restoreAll(domain, { migrated: false });
      expect(contextOf(disk)).toBe('u:object_r:other_t:s0');
    });

    it('leaves alone what somebody has labelled otherwise since, or removed', async () => {
      const [disk, gone] = [file('disk'), file('gone')];
      const domain = guest('a', { writable: [disk, gone] });
      await labels.labelAll(domain);
      withOwnFile(disk, (fd) => fileContexts.setFileContext(fd, 'u:object_r:other_t:s0'));
      rmSync(gone);
      await labels.restoreAll(domain, { migrated: false });
      expect([contextOf(disk), ...heldDocuments()]).toEqual(['u:object_r:other_t:s0', 0, 0, 0]);
    });

    it('when one of them cannot be labelled, those before are as they were, and the pair is free', async () => {
      const [first, second] = [file('first'), file('second')];
      kernel.own = 'system_u:system_r:virtd_t:s0-s0:c0.c1';
      kernel.failing = 'system_u:object_r:svirt_image_t:s0:c0,c1';
      const domain = guest('a', { writable: [first, second], shared: [first] });
      await expect(labels.labelAll(domain)).rejects.toThrow(failing(second));
      expect([contextOf(first), contextOf(second)]).toEqual(Array(2).fill('system_u:object_r:virt_var_lib_t:s0'));
      expect(heldDocuments()).toEqual([0, 0, 0]);
    });

    it('a disk of several guests has no categories, and gets its context back after the last; others belong to one', async () => {
      const disk = file('disk');
      const [a, b] = ['a', 'b'].map((uuid) => guest(uuid, { writable: [disk], shared: [disk] }));
      if (a === undefined || b === undefined) throw new Error('there are two');
      await labels.labelAll(a);
      await labels.labelAll(b);
      await labels.restoreAll(a, { migrated: false });
      expect(contextOf(disk)).toBe('system_u:object_r:svirt_image_t:s0');
      await expect(labels.labelAll(guest('c', { writable: [disk] }))).rejects.toThrow(failing(disk));
      await labels.restoreAll(b, { migrated: false });
      expect([contextOf(disk), ...heldDocuments()]).toEqual(['system_u:object_r:virt_var_lib_t:s0', 0, 0, 0]);
    });

    it.each<[string, (path: string) => void]>([
      ['a symbolic link', (path) => symlinkSync(file('other'), path)],
      ['a file with a second name', (path) => linkSync(file('other'), path)],
      ['a folder', (path) => mkdirSync(path)],
      ['nothing', () => undefined],
    ])('threat 3: does not label %s', async (_, make) => {
      const bad = join(folder, 'bad');
      make(bad);
      await expect(labels.labelAll(guest('a', { writable: [file('good'), bad] }))).rejects.toThrow(failing());
      expect([contextOf(join(folder, 'good')), ...heldDocuments()]).toEqual(['system_u:object_r:virt_var_lib_t:s0', 0, 0, 0]);
    });

    it("labels the guest's own folder and log, and a saved state until it is given back", async () => {
      const [saved, log] = [file('saved'), file('log')];
      chmodSync(folder, 0o700);
      const domain = guest('a');
      await labels.labelAll(domain);
      await labels.labelOwn(domain, { folder, log });
      await labels.labelPath(domain, saved);
      const { image } = await labelOf('a');
      expect([folder, log, saved].map(contextOf)).toEqual([image, image, image]);
      await labels.restorePath(domain, saved);
      expect(contextOf(saved)).toBe('system_u:object_r:virt_var_lib_t:s0');
    });
  });

  describe('a migration', () => {
    it('keeps the pair that the disks carry, so that the QEMU on the other host goes on writing; the way back gives them back', async () => {
      const disk = file('disk');
      const domain = guest('a', { writable: [disk] });
      await labels.labelAll(domain);
      const carried = contextOf(disk);
      const far = hostDocuments();
      const destination = agentOf(far);
      expect(await destination.labelAll(domain), 'nothing was changed there').toEqual([]);
      expect(contextOf(disk)).toBe(carried);
      expect((await destination.labelsOf({ uuid: 'a' }))[0]?.imageLabel).toBe(carried);
      await labels.restoreAll(domain, { migrated: true });
      expect(contextOf(disk)).toBe(carried);
      expect(heldDocuments(), 'kept for the day when it comes back').toEqual([1, 1, 1]);
      await destination.restoreAll(domain, { migrated: true });
      expect(Object.values(far).map(({ texts }) => texts.size)).toEqual([0, 0, 0]);
      await labels.labelAll(domain);
      await labels.restoreAll(domain, { migrated: false });
      expect([contextOf(disk), ...heldDocuments()]).toEqual(['system_u:object_r:virt_var_lib_t:s0', 0, 0, 0]);
    });

    it('is refused when a guest of the destination has that pair, and nothing is labelled', async () => {
      kernel.own = 'system_u:system_r:virtd_t:s0-s0:c0.c1';
      const disk = file('disk');
      await labels.labelAll(guest('a', { writable: [disk] }));
      const far = hostDocuments();
      const destination = agentOf(far);
      await destination.labelAll(guest('b'));
      const carried = contextOf(disk);
      await expect(destination.labelAll(guest('a', { writable: [disk] }))).rejects.toMatchObject({
        code: 'label-failed',
        data: { uuid: 'b' },
      });
      expect([contextOf(disk), ...Object.values(far).map(({ texts }) => texts.size)]).toEqual([carried, 1, 1, 0]);
    });
  });

  it('takes the pair of a running guest again when what was on disk is lost, and of no other process', async () => {
    kernel.own = 'system_u:system_r:virtd_t:s0-s0:c0.c1';
    kernel.processes.set(41, 'system_u:system_r:svirt_t:s0:c0,c1');
    kernel.processes.set(42, 'system_u:system_r:init_t:s0:c0,c1');
    await labels.reserve({ uuid: 'b' }, 42);
    await labels.reserve({ uuid: 'b' }, 43);
    expect(heldDocuments()).toEqual([0, 0, 0]);
    await labels.reserve({ uuid: 'a' }, 41);
    await labels.reserve({ uuid: 'a' }, 41);
    expect(await labelOf('a')).toEqual({
      label: 'system_u:system_r:svirt_t:s0:c0,c1',
      image: 'system_u:object_r:svirt_image_t:s0:c0,c1',
    });
    await expect(labels.labelAll(guest('b'))).rejects.toThrow(failing());
    await labels.release({ uuid: 'a' });
    await labels.labelAll(guest('b'));
  });

  it('gives back a level that a start had taken when its agent ended', async () => {
    await documents.levels.create('s0_c1_c2', { uuid: 'a' });
    await labels.release({ uuid: 'a' });
    expect(heldDocuments()).toEqual([0, 0, 0]);
  });

  it('S15: an open image gets the label of images, any other descriptor that of the process', async () => {
    await labels.labelAll(guest('a'));
    const { label, image } = await labelOf('a');
    const [imagePath, streamPath] = [file('image'), file('stream')];
    const fds = [openSync(imagePath, 'r'), openSync(streamPath, 'r')];
    await labels.labelImageFd({ uuid: 'a' }, fds[0] ?? -1);
    await labels.labelStreamFd({ uuid: 'a' }, fds[1] ?? -1);
    for (const fd of fds) closeFd(fd);
    expect([contextOf(imagePath), contextOf(streamPath)]).toEqual([image, label]);
    const { read, write } = pipe2();
    // Without SELinux a pipe has no labels, and stays as it is.
    await labels.labelStreamFd({ uuid: 'a' }, write);
    closeFd(read);
    closeFd(write);
    await expect(labels.labelImageFd({ uuid: 'a' }, 1_000_000)).rejects.toThrow(failing());
  });

  it('labels the sockets that are made within it alone, also when that fails', async () => {
    const seen: unknown[] = [];
    await labels.labelAll(guest('a'));
    const { label } = await labelOf('a');
    const { level = '' } = parseContext(label);
    (await labels.socketMaker({ uuid: 'a' }, 'guest'))(() => seen.push(...kernel.socketContexts));
    const agent = await labels.socketMaker({ uuid: 'a' }, 'agent');
    expect(() =>
      agent(() => {
        throw new Error('no socket');
      }),
    ).toThrow('no socket');
    expect(seen).toEqual([label]);
    expect(kernel.socketContexts).toEqual([label, null, `system_u:system_r:virtd_t:${level}`, null]);
    expect((await labels.socketMaker({ uuid: 'unlabelled' }, 'guest'))(() => 1)).toBe(1);
    expect(kernel.socketContexts).toHaveLength(4);
  });

  it('does not forget files whose label nobody knows any more', async () => {
    const disk = file('disk');
    const domain = guest('a', { writable: [disk] });
    await labels.labelAll(domain);
    documents.labels.texts.clear();
    await expect(labels.restoreAll(domain, { migrated: false })).rejects.toThrow(failing(disk));
    expect(documents.files.texts.size).toBe(1);
  });
});
