import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { buildOnce, guestSources } from './build-once.js';
import { debianKernel, kernelModules } from './debian-kernel.js';
import { runTool } from './run-tool.js';

const busybox = '/bin/busybox';
const sources = ['init', 'power-off', 'ticker.c'];

/** Without `pti=on` a Linux guest under TCG often dies after a migration, QEMU's fault (qemu-behaviour, "TCG guests"). */
const cmdline = 'console=ttyS0 quiet pti=on';

export interface LinuxGuest {
  readonly kernelPath: string;
  readonly initrdPath: string;
  /**
   * Append `vmferry.fill=MIB vmferry.dirty=MIB` for a guest that fills memory and rewrites it at a rate in MiB/s, and `vmferry.net=ADDRESS/BITS` for
   * one whose virtio network interface has this address and answers to pings.
   */
  readonly cmdline: string;
}

/**
 * The Linux guest: Debian's cloud kernel and an initrd whose ticker prints `tick N uptime S.mmm` every 10 ms (ticker.c). It needs
 * 80 MiB, ticks 2 s after it was started under TCG, and powers off at the press of its power button. Needs busybox-static, cpio
 * and gcc.
 */
export async function linuxGuest(): Promise<LinuxGuest> {
  const kernel = await debianKernel();
  const name = `initrd-${basename(kernel).replace('kernel-', '')}-${await hashOf(busybox, ...sources.map((file) => join(guestSources, file)))}`;
  const folder = await buildOnce(name, (building) => buildInitrd(building, kernel));
  return { kernelPath: join(kernel, 'vmlinuz'), initrdPath: join(folder, 'initrd.gz'), cmdline };
}

async function buildInitrd(building: string, kernel: string): Promise<void> {
  const tree = join(building, 'tree');
  for (const folder of ['bin', 'lib', 'dev', 'proc', 'etc/acpi/PWRF']) await mkdir(join(tree, folder), { recursive: true });
  await copyFile(busybox, join(tree, 'bin/busybox'));
  await copyFile(join(guestSources, 'init'), join(tree, 'init'));
  await copyFile(join(guestSources, 'power-off'), join(tree, 'etc/acpi/PWRF/00000080'));
  for (const file of ['init', 'etc/acpi/PWRF/00000080']) await chmod(join(tree, file), 0o755);
  for (const module of kernelModules) await copyFile(join(kernel, module), join(tree, 'lib', module));
  await runTool(
    building,
    'gcc',
    '-static',
    '-O2',
    '-Wall',
    '-Wextra',
    '-s',
    '-o',
    'tree/bin/ticker',
    join(guestSources, 'ticker.c'),
  );
  await runTool(tree, 'sh', '-c', 'find . | cpio --quiet -o -H newc | gzip -9n > ../initrd.gz');
  await runTool(building, 'rm', '-r', 'tree');
  await chmod(building, 0o755);
}

async function hashOf(...paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(await readFile(path));
  return hash.digest('hex').slice(0, 16);
}
