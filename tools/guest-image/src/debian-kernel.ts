import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { buildOnce, builtGuests } from './build-once.js';
import { runTool } from './run-tool.js';

const metaPackage = 'linux-image-cloud-amd64';
/** What the power button needs, then a virtio network interface, each after those that it needs itself; the rest is built in. */
export const kernelModules = [
  ...['button', 'evdev'],
  ...['virtio_ring', 'virtio', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev', 'virtio_pci'],
  ...['failover', 'net_failover', 'virtio_net'],
].map((name) => `${name}.ko`);
/** Takes only those files out of the package, without their folders: all of it would be 100 MB. */
const extract = [
  "dpkg-deb --fsys-tarfile *.deb | tar -x -f - --wildcards --transform 's|.*/||' './boot/vmlinuz-*'",
  ...kernelModules.map((name) => `'*/${name}*'`),
].join(' ');
/** A folder that was made for other modules is another one. */
const suffix = `-${createHash('sha256').update(extract).digest('hex').slice(0, 8)}`;

/**
 * The folder of Debian's cloud kernel: `vmlinuz` and `kernelModules`. One that is already there is used, so that asking apt
 * (2 s) and the download (27 MB) happen once; deleting `.guests` brings the newest.
 */
export async function debianKernel(): Promise<string> {
  const built = existsSync(builtGuests) ? await readdir(builtGuests) : [];
  const newest = built
    .filter((name) => name.startsWith('kernel-') && name.endsWith(suffix))
    .sort()
    .at(-1);
  if (newest !== undefined) return join(builtGuests, newest);
  const packageName = await kernelPackage();
  return buildOnce(packageName.replace('linux-image-', 'kernel-') + suffix, (folder) => unpack(folder, packageName));
}

async function kernelPackage(): Promise<string> {
  const depends = await runTool('/', 'apt-cache', 'depends', metaPackage);
  const found = /^\s*Depends: (linux-image-[\w.+-]+)$/m.exec(depends)?.[1];
  if (found === undefined) {
    throw new VmferryError('internal', `apt does not know what ${metaPackage} depends on. Run 'apt-get update' as root once.`);
  }
  return found;
}

async function unpack(folder: string, packageName: string): Promise<void> {
  await runTool(folder, 'apt-get', '-q', 'download', packageName);
  await runTool(folder, 'sh', '-c', extract);
  for (const name of await readdir(folder)) {
    if (name.endsWith('.deb')) await rm(join(folder, name));
    if (name.startsWith('vmlinuz-')) await rename(join(folder, name), join(folder, 'vmlinuz'));
    // Debian 13 compresses its modules, and the initrd's insmod reads plain ones.
    if (name.endsWith('.xz')) await runTool(folder, 'xz', '-d', name);
  }
  for (const name of ['vmlinuz', ...kernelModules]) {
    if (!existsSync(join(folder, name)))
      throw new VmferryError('internal', `The Debian package ${packageName} holds no ${name}.`);
  }
  await chmod(join(folder, 'vmlinuz'), 0o644);
  await chmod(folder, 0o755);
}
