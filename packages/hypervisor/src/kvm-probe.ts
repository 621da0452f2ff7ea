import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@vmferry/seams';
import { spawnDependent } from './dependent-process.js';
import { kvmProbeImage } from './kvm-probe-image.js';

/** 0x10 written to the port of isa-debug-exit ends QEMU with twice that and one. */
const exitCodeDone = 33;

/** TCG needs 0.1 s for the whole probe; a KVM that emulates needs minutes. */
const deadlineMs = 2_000;

/**
 * True when KVM runs a 64-bit guest, and at the speed of a processor. /dev/kvm alone proves nothing (qemu-behaviour: "KVM may exist
 * and still not run Linux"). `folder` is the caller's, for the firmware image.
 */
export function tryKvm(emulator: string, folder: string, clock: Clock): Promise<boolean> {
  return runProbeImage('kvm', emulator, folder, clock);
}

/** With `tcg` for a test of the image itself, which has to be done there within the deadline. */
export async function runProbeImage(accel: 'kvm' | 'tcg', emulator: string, folder: string, clock: Clock): Promise<boolean> {
  const image = join(folder, 'kvm-probe.bin');
  await writeFile(image, kvmProbeImage(), { mode: 0o600 });
  const machine = ['-machine', 'pc', '-accel', accel, '-m', '4', '-nodefaults', '-no-user-config', '-display', 'none'];
  const exit = ['-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-bios', image];
  return await new Promise((resolve) => {
    const qemu = spawnDependent(emulator, [...machine, ...exit], 'ignore');
    const timer = clock.after(deadlineMs, () => qemu.kill('SIGKILL'));
    qemu.once('error', () => {
      timer.cancel();
      resolve(false);
    });
    qemu.once('exit', (code) => {
      timer.cancel();
      resolve(code === exitCodeDone);
    });
  });
}
