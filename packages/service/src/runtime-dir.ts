import { limits } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';

/**
 * Refuses a runtime folder in which the path of a guest's monitor would be longer than the kernel takes (toolchain, Descriptors): when an app
 * starts, and not when its first guest does. Throws `invalid-argument`.
 */
export function checkRuntimeDir(path: string): void {
  const bytes = Buffer.byteLength(path);
  const bytesMax = limits.runtimeDirBytesMax;
  if (bytes <= bytesMax) return;
  throw new VmferryError(
    'invalid-argument',
    `The runtime folder ${path} has ${bytes} bytes, and ${bytesMax} are the most; give a shorter one with --runtime-dir.`,
    { data: { path, bytes, bytesMax } },
  );
}
