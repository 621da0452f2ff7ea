import { constants } from 'node:fs';
import { type FileHandle, lstat, open, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { syncFolder } from '@vmferry/locking';

/** Which very file a save writes: its path once it is whole, and what the kernel knows it by meanwhile. */
export interface TargetIdentity {
  readonly path: string;
  readonly dev: string;
  readonly ino: string;
}

const suffix = '.partial';
/** The kernel's own, and room for the suffix. */
const nameBytesMax = 255 - suffix.length;
const beginnings = ['LibvirtQemudSave', 'LibvirtQemudPart'];

/**
 * The file of an image that is being written. It has another name until it is whole, so that what stood at its path stays until then, and a save that was interrupted
 * leaves nothing there.
 */
export class ImageTarget {
  readonly path: string;
  readonly file: FileHandle;
  readonly identity: TargetIdentity;

  private constructor(path: string, file: FileHandle, identity: TargetIdentity) {
    this.path = path;
    this.file = file;
    this.identity = identity;
  }

  /**
   * Only its owner reads it: a guest's memory has its secrets. Throws `image-path-refused`: the path is not absolute, lies below none of `roots`, its folder is not
   * there or cannot be written, or something stands there that is neither an image nor an empty file.
   */
  static async create(
    wanted: string,
    roots: readonly string[],
    replaces: (begin: string) => boolean = isImage,
  ): Promise<ImageTarget> {
    const path = await resolved(wanted, roots);
    await refuseOther(path, replaces);
    const partial = `${path}${suffix}`;
    await rm(partial, { force: true });
    const file = await open(partial, 'wx+', 0o600).catch((cause: unknown) => {
      throw refused(path, `its folder cannot be written (${messageOf(cause)})`, cause);
    });
    return new ImageTarget(path, file, { path, ...numbersOf(await file.stat({ bigint: true })) });
  }

  /** The image is whole and on disk: it takes its place. */
  async commit(): Promise<void> {
    await rename(`${this.path}${suffix}`, this.path);
    await syncFolder(dirname(this.path));
  }

  /** Takes back what could not be made durable in its place. */
  async revoke(): Promise<void> {
    await rm(this.path, { force: true });
    await syncFolder(dirname(this.path));
  }

  async discard(): Promise<void> {
    await this.file.close();
    await discardPartial(this.identity);
  }
}

/** Whether the file of this identity has taken its place: then the image is whole, whatever its writer has come to. */
export async function isCommitted({ path, dev, ino }: TargetIdentity): Promise<boolean> {
  const found = await numbersAt(path);
  return found !== null && found.dev === dev && found.ino === ino;
}

/** Removes what an interrupted save has left; the file of another one stays. */
export async function discardPartial({ path, dev, ino }: TargetIdentity): Promise<void> {
  const partial = `${path}${suffix}`;
  const found = await numbersAt(partial);
  if (found !== null && found.dev === dev && found.ino === ino) await rm(partial, { force: true });
}

/** Opens an image to be read. Throws `image-path-refused`. */
export async function openImage(
  wanted: string,
  roots: readonly string[],
): Promise<{ readonly path: string; readonly file: FileHandle }> {
  const path = await resolved(wanted, roots);
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw refused(path, `it cannot be opened (${messageOf(cause)})`, cause);
  });
  if ((await file.stat()).isFile()) return { path, file };
  await file.close();
  throw refused(path, 'it is no regular file');
}

/** The path with its folder as it really is. */
async function resolved(path: string, roots: readonly string[]): Promise<string> {
  if (!isAbsolute(path) || path.includes('\0') || path.endsWith('/') || ['.', '..'].includes(basename(path)))
    throw refused(path, 'give the absolute path of a file');
  if (Buffer.byteLength(basename(path)) > nameBytesMax) throw refused(path, `its name has over ${nameBytesMax} bytes`);
  const folder = await realpath(dirname(path)).catch((cause: unknown) => {
    throw refused(path, `its folder is not there (${messageOf(cause)})`, cause);
  });
  const isBelow = await Promise.all(
    roots.map(async (root) => !relative(await realpath(root).catch(() => root), folder).startsWith('..')),
  );
  if (!isBelow.includes(true)) throw refused(path, `it lies below none of ${roots.join(', ')}`);
  return join(folder, basename(path));
}

async function refuseOther(path: string, replaces: (begin: string) => boolean): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isFile()) throw refused(path, 'what stands there is no regular file');
  if (found.size > 0 && !replaces(await beginOf(path)))
    throw refused(path, 'what stands there is no such image: remove it, or choose another path');
}

function isImage(begin: string): boolean {
  return beginnings.includes(begin);
}

async function beginOf(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}

async function numbersAt(path: string): Promise<{ dev: string; ino: string } | null> {
  try {
    return numbersOf(await lstat(path, { bigint: true }));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw thrown;
  }
}

function numbersOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): { dev: string; ino: string } {
  return { dev: String(dev), ino: String(ino) };
}

function refused(path: string, why: string, cause?: unknown): VmferryError {
  const shown = JSON.stringify(path.slice(0, 300));
  return new VmferryError('image-path-refused', `${shown} cannot be the file of an image: ${why}.`, {
    cause,
    data: { path: path.slice(0, 300) },
  });
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
