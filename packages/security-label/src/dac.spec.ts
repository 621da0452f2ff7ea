import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DacLabels, parseRememberedOwners } from './dac.js';
import type { LabelledDomain } from './security-driver.js';
import { guest, SpecDocuments } from './spec-helper.js';

const user = { uid: 64055, gid: 64056 };
const root = { uid: 0, gid: 0 };

let folder: string;
let memory: SpecDocuments<ReturnType<typeof parseRememberedOwners>>;
let labels: DacLabels;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'label-'));
  chmodSync(folder, 0o711);
  memory = new SpecDocuments(parseRememberedOwners);
  labels = new DacLabels({ user, memory, imageRoots: [folder] });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, owner = root, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, 'content');
  chmodSync(path, mode);
  chownSync(path, owner.uid, owner.gid);
  return path;
}

function ownerOf(path: string): { uid: number; gid: number } {
  const { uid, gid } = lstatSync(path);
  return { uid, gid };
}

/** What the kernel says to the QEMU user itself. */
function asUser(...command: [string, ...string[]]): boolean {
  try {
    execFileSync(command[0], command.slice(1), { ...user, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

// Only root can give files away. Where the tests run as another user, the runner counts these as skipped.
describe.runIf(process.getuid?.() === 0)('dac', () => {
  it('gives QEMU what the guest writes, and puts the owner back exactly once', async () => {
    const disk = file('disk', { uid: 7, gid: 8 });
    const domain = guest('a', { writable: [disk] });
    expect(asUser('cat', disk)).toBe(false);
    expect(await labels.labelAll(domain), 'labelled by this start').toEqual([disk]);
    expect(await labels.labelAll(domain), 'labelled by this start').toEqual([]);
    expect(asUser('dd', 'if=/dev/null', `of=${disk}`)).toBe(true);
    await labels.restoreAll(domain, { migrated: false });
    expect(ownerOf(disk)).toEqual({ uid: 7, gid: 8 });
    expect(memory.texts.size).toBe(0);
    chownSync(disk, 9, 9);
    await labels.restoreAll(domain, { migrated: false });
    expect(ownerOf(disk)).toEqual({ uid: 9, gid: 9 });
  });

  it('leaves what is only read as it is, when QEMU can read it', async () => {
    const kernel = file('kernel', root, 0o644);
    await labels.labelAll(guest('a', { readable: [kernel] }));
    expect(ownerOf(kernel)).toEqual(root);
    expect(asUser('cat', kernel)).toBe(true);
  });

  it('names the file that QEMU may not read, and what to do', async () => {
    const kernel = file('kernel', root, 0o640);
    const disk = file('disk');
    await expect(labels.labelAll(guest('a', { readable: [kernel], writable: [disk] }))).rejects.toMatchObject({
      code: 'label-failed',
      message: `${kernel} cannot be read by the QEMU user (uid 64055, gid 64056). Run "chmod o+r ${kernel}".`,
    });
    expect(ownerOf(disk)).toEqual(root);
    chownSync(kernel, 0, user.gid);
    await labels.labelAll(guest('a', { readable: [kernel] }));
    expect(asUser('cat', kernel)).toBe(true);
  });

  it('tells all that it would meet in its way, and changes nothing', async () => {
    const kernel = file('kernel', root, 0o640);
    const disk = file('disk');
    const domain = guest('a', {
      readable: [kernel],
      writable: [join(folder, 'gone'), disk],
      connected: [join(folder, 'no-socket')],
    });
    const found = await labels.faults(domain);
    expect(found.map(({ code, data }) => [code, data.path])).toEqual([
      ['label-failed', kernel],
      ['label-failed', join(folder, 'no-socket')],
      ['label-failed', join(folder, 'gone')],
    ]);
    expect([ownerOf(disk), memory.texts.size]).toEqual([root, 0]);
    await expect(labels.labelAll(domain)).rejects.toMatchObject({ code: 'label-failed', data: { path: kernel } });
  });

  it('names the first folder that QEMU may not search, and what to do', async () => {
    mkdirSync(join(folder, 'private', 'deep'), { recursive: true, mode: 0o755 });
    chmodSync(join(folder, 'private'), 0o700);
    const disk = file('private/deep/disk');
    const private_ = join(folder, 'private');
    await expect(labels.labelAll(guest('a', { writable: [disk] }))).rejects.toMatchObject({
      code: 'label-failed',
      message: `${disk} cannot be reached: the QEMU user (uid 64055, gid 64056) may not search ${private_}. Run "chmod o+x ${private_}", or place the file elsewhere.`,
    });
    expect(ownerOf(disk)).toEqual(root);
    chmodSync(private_, 0o711);
    await labels.labelAll(guest('a', { writable: [disk] }));
    expect(asUser('cat', disk)).toBe(true);
  });

  it('looks whether serial ports can be made and reached', async () => {
    const log = join(folder, 'serial.log');
    await expect(labels.labelAll(guest('a', { created: [log] }))).rejects.toMatchObject({ code: 'label-failed' });
    const socket = file('socket', root, 0o755);
    await expect(labels.labelAll(guest('a', { connected: [socket] }))).rejects.toMatchObject({ code: 'label-failed' });
    chmodSync(folder, 0o777);
    chmodSync(socket, 0o777);
    await labels.labelAll(guest('a', { created: [log], connected: [socket] }));
    expect(asUser('touch', log)).toBe(true);
    writeFileSync(log, '');
    chmodSync(log, 0o444);
    chownSync(log, 0, 0);
    await expect(labels.labelAll(guest('a', { created: [log] }))).rejects.toMatchObject({ code: 'label-failed' });
  });

  it.each<[string, (disk: string) => void]>([
    ['a symbolic link', (disk) => symlinkSync('/etc/passwd', disk)],
    ['a file with a second name', (disk) => linkSync(file('other'), disk)],
    ['a folder', (disk) => mkdirSync(disk)],
    ['nothing', () => undefined],
  ])('threat 3: does not label %s, and puts back what it has labelled before', async (_, make) => {
    const good = file('good', { uid: 7, gid: 8 });
    const bad = join(folder, 'bad');
    make(bad);
    await expect(labels.labelAll(guest('a', { writable: [good, bad] }))).rejects.toMatchObject({ code: 'label-failed' });
    expect(ownerOf(good)).toEqual({ uid: 7, gid: 8 });
    expect(memory.texts.size).toBe(0);
    expect(ownerOf('/etc/passwd')).toEqual(root);
  });

  it('threat 3: does not label outside of the image folders, also not through a link in the path', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'label-outside-'));
    try {
      chmodSync(outside, 0o711);
      writeFileSync(join(outside, 'disk'), '');
      symlinkSync(outside, join(folder, 'link'));
      for (const path of [join(outside, 'disk'), join(folder, 'link', 'disk'), `${folder}/../${folder}/disk`]) {
        await expect(labels.labelAll(guest('a', { writable: [path] }))).rejects.toMatchObject({ code: 'label-failed' });
      }
      expect(ownerOf(join(outside, 'disk'))).toEqual(root);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  it('S15: an open image that is handed over keeps its owner, and QEMU can use it all the same', async () => {
    const image = file('image');
    const fd = openSync(image, 'r');
    await labels.labelImageFd();
    expect(ownerOf(image)).toEqual(root);
    expect(execFileSync('cat', { ...user, stdio: [fd, 'pipe', 'ignore'] }).toString()).toBe('content');
    expect(asUser('cat', image)).toBe(false);
    closeSync(fd);
  });

  it('changes nothing when the owner before cannot be remembered', async () => {
    const disk = file('disk', { uid: 7, gid: 8 });
    memory.isFull = true;
    await expect(labels.labelAll(guest('a', { writable: [disk] }))).rejects.toMatchObject({ code: 'state-unwritable' });
    expect(ownerOf(disk)).toEqual({ uid: 7, gid: 8 });
  });

  it('S18: after a migration the disks keep their label, and get their owner back when the guest has come back and ends here', async () => {
    const disk = file('disk', { uid: 7, gid: 8 });
    const image = file('saved', { uid: 7, gid: 8 });
    const domain = guest('a', { writable: [disk] });
    await labels.labelAll(domain);
    await labels.labelPath(domain, image);
    await labels.restoreAll(domain, { migrated: true });
    expect([ownerOf(disk), ownerOf(image)]).toEqual([user, { uid: 7, gid: 8 }]);
    await labels.labelAll(domain);
    await labels.restoreAll(domain, { migrated: false });
    expect(ownerOf(disk)).toEqual({ uid: 7, gid: 8 });
  });

  it('leaves alone what somebody else has taken or removed meanwhile', async () => {
    const [taken, gone] = [file('taken'), file('gone')];
    const domain = guest('a', { writable: [taken, gone] });
    await labels.labelAll(domain);
    chownSync(taken, 9, 9);
    rmSync(gone);
    await labels.restoreAll(domain, { migrated: false });
    expect(ownerOf(taken)).toEqual({ uid: 9, gid: 9 });
    expect(memory.texts.size).toBe(0);
  });

  it("I6: over random lives of guests that share disks, a disk is QEMU's while a guest uses it and its owner's afterwards", async () => {
    const step = fc.record({
      guest: fc.constantFrom('a', 'b', 'c'),
      start: fc.boolean(),
      disks: fc.subarray([0, 1, 2]),
      restart: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        memory.texts.clear();
        const disks = [0, 1, 2].map((index) => file(`disk-${index}`, { uid: 100 + index, gid: 200 }));
        const using = new Map<string, LabelledDomain>();
        for (const each of steps) {
          if (each.restart) labels = new DacLabels({ user, memory, imageRoots: [folder] });
          const before = using.get(each.guest);
          if (each.start && before === undefined) {
            const domain = guest(each.guest, { writable: each.disks.flatMap((index) => disks[index] ?? []) });
            await labels.labelAll(domain);
            using.set(each.guest, domain);
          } else if (!each.start && before !== undefined) {
            await labels.restoreAll(before, { migrated: false });
            using.delete(each.guest);
          }
          for (const [index, disk] of disks.entries()) {
            const inUse = [...using.values()].some(({ writable }) => writable.includes(disk));
            expect(ownerOf(disk)).toEqual(inUse ? user : { uid: 100 + index, gid: 200 });
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});
