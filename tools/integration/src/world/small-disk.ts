import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

const pageBytes = 4096;
/** The allocated pages of the disk, and few enough besides to be filled at once. */
const roomKib = 64;

/** CAP_SYS_ADMIN, which root does not have in every container. */
export const canMount = ((effectiveCapabilities() >> 21n) & 1n) === 1n;

/** The disk of a boot-sector guest on a file system that has no room for anything else: a page that it has not written yet may fail to be. */
export class SmallDisk {
  readonly path: string;
  readonly #folder: string;
  #mounted = true;

  private constructor(folder: string, image: string) {
    this.#folder = folder;
    this.path = join(folder, basename(image));
  }

  static async make(folder: string, image: string): Promise<SmallDisk> {
    await mkdir(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${roomKib}k,mode=0711`, 'vmferry-small-disk', folder]);
    const disk = new SmallDisk(folder, image);
    // A copy would write the holes, too.
    await writeFile(disk.path, (await readFile(image)).subarray(0, pageBytes));
    await truncate(disk.path, (await stat(image)).size);
    return disk;
  }

  /** From now on only what the disk holds already can be written; the page that the guest writes to is a hole again. */
  async fill(): Promise<void> {
    execFileSync('fallocate', ['--punch-hole', '--offset', String(pageBytes), '--length', String(pageBytes), this.path]);
    const filler = await open(this.#filler, 'w');
    try {
      for (;;) await filler.write(Buffer.alloc(pageBytes));
    } catch (thrown) {
      if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOSPC')) throw thrown;
    } finally {
      await filler.close();
    }
  }

  /** There is room again. */
  async free(): Promise<void> {
    await rm(this.#filler);
  }

  /** At once, also when a QEMU that is about to end has the disk open; nothing of it is kept. */
  unmount(): void {
    if (this.#mounted) spawnSync('umount', ['--lazy', this.#folder]);
    this.#mounted = false;
  }

  get #filler(): string {
    return join(this.#folder, 'filler');
  }
}

function effectiveCapabilities(): bigint {
  const [, mask = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return BigInt(`0x${mask}`);
}
