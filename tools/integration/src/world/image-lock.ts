import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * A QEMU of nobody's that has the disk of the guest open for writing, as QEMU locks it: any other that is to write to it refuses `cont` until
 * this one is ended. Throws when the disk is in use already.
 */
export async function lockImage(diskPath: string): Promise<() => Promise<void>> {
  const node = { 'driver': 'file', 'node-name': 'disk', 'filename': diskPath, 'locking': 'on' };
  const child = spawn(
    'qemu-system-x86_64',
    [
      ...['-machine', 'q35', '-accel', 'tcg', '-nodefaults', '-display', 'none', '-S', '-m', '4M', '-qmp', 'stdio'],
      ...['-blockdev', JSON.stringify(node), '-device', 'virtio-blk-pci,drive=disk'],
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const killed = () => child.kill('SIGKILL');
  process.once('exit', killed);
  const exited = once(child, 'exit');
  const greeted = await Promise.race([once(child.stdout, 'data').then(() => true), exited.then(() => false)]);
  if (!greeted) throw new Error(`the disk ${diskPath} could not be locked`);
  return async () => {
    process.off('exit', killed);
    killed();
    await exited;
  };
}
