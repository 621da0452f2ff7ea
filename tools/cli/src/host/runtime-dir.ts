import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, rmdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { limits } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';

/**
 * A short folder for sockets: a unix socket path has 107 bytes (toolchain, Descriptors), a state folder may lie deep. One state
 * folder always gets the same one, so that a restarted host finds the sockets of its running guests.
 */
export function defaultRuntimeDir(
  stateDir: string,
  place: { readonly isRoot: boolean; readonly xdgRuntimeDir: string | undefined; readonly tmpDir: string },
): string {
  const digest = createHash('sha256').update(resolve(stateDir)).digest('hex').slice(0, 10);
  const parent = place.isRoot ? '/run' : place.xdgRuntimeDir || place.tmpDir;
  return join(parent, `vmferry-${digest}`);
}

/**
 * Makes the folder, which may lie where everybody can write: another user's folder or a link there would hand our monitors to them.
 * QEMU's own user passes through it to its sockets, hence 0711. Throws 'invalid-argument'.
 */
export function makeRuntimeDir(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes > limits.runtimeDirBytesMax) {
    const detail = `The runtime folder ${path} has ${bytes} bytes, and ${limits.runtimeDirBytesMax} are the most; give a shorter one with --runtime-dir.`;
    throw new VmferryError('invalid-argument', detail);
  }
  mkdirSync(path, { recursive: true, mode: 0o711 });
  const found = lstatSync(path);
  if (found.isDirectory() && found.uid === process.geteuid?.() && (found.mode & 0o022) === 0) return;
  const detail = `The runtime folder ${path} must be a folder of this user that nobody else can write to; give another one with --runtime-dir.`;
  throw new VmferryError('invalid-argument', detail);
}

/** Removes a runtime folder that no guest needs any more; one in which something lies, or that is gone, stays as it is. */
export function removeEmptyRuntimeDir(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException; // rmdir throws nothing else
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error;
  }
}
