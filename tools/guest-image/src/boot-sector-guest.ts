import { createHash } from 'node:crypto';
import { chmod, copyFile, readFile, truncate } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { buildOnce, guestSources } from './build-once.js';
import { runTool } from './run-tool.js';

/** A 512-byte disk does not boot: SeaBIOS wants one cylinder of a whole geometry, 16 heads of 63 sectors. */
const diskBytes = 516_096;
/** Where the guest writes its own sector when it is told to: a page that the built image leaves as a hole. */
const writtenAt = 4096;
const sectorBytes = 512;
const source = join(guestSources, 'boot-sector.s');

export interface BootSectorGuest {
  /** The built disk, raw. Shared by every user of this checkout: a QEMU that writes takes a copy of its own. */
  readonly diskPath: string;
  /** Copies the disk into `folder` for one guest and returns the path; writable only when the guest was asked for writable. */
  readonly copyFor: (folder: string) => Promise<string>;
}

/**
 * The small guest: it boots in under 100 ms, needs 4 MiB, keeps a memory pattern and prints a line every 10 ms (boot-sector.s
 * documents both). QEMU locks an image only when it may write to it, so tests of the image lock take the writable one
 * (qemu-behaviour, L).
 */
export async function bootSectorGuest(o: { readonly writable: boolean }): Promise<BootSectorGuest> {
  const hash = createHash('sha256')
    .update(await readFile(source))
    .digest('hex')
    .slice(0, 16);
  const folder = await buildOnce(`boot-sector-${hash}`, async (building) => {
    await runTool(building, 'as', '--32', '-o', 'boot-sector.o', source);
    for (const [name, mode] of [
      ['writable.img', 0o644],
      ['read-only.img', 0o444],
    ] as const) {
      const image = join(building, name);
      await runTool(building, 'ld', '-m', 'elf_i386', '-Ttext', '0x7c00', '--oformat', 'binary', '-o', image, 'boot-sector.o');
      await truncate(image, diskBytes);
      await chmod(image, mode);
    }
    await chmod(building, 0o755);
  });
  const diskPath = join(folder, o.writable ? 'writable.img' : 'read-only.img');
  return {
    diskPath,
    async copyFor(target) {
      const copy = join(target, basename(diskPath));
      await copyFile(diskPath, copy);
      return copy;
    },
  };
}

/** True when the guest of this disk has written to it. */
export async function pageWritten(diskPath: string): Promise<boolean> {
  const disk = await readFile(diskPath);
  return disk.subarray(writtenAt, writtenAt + sectorBytes).equals(disk.subarray(0, sectorBytes));
}
