import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

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
  // It may greet before it has its devices; a command is answered when it has them, and with them the lock.
  child.stdin.write('{"execute": "qmp_capabilities"}\n');
  const answered = new Promise<boolean>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => line.startsWith('{"return"') && resolve(true));
  });
  const locked = await Promise.race([answered, exited.then(() => false)]);
  if (!locked) throw new Error(`the disk ${diskPath} could not be locked`);
  return async () => {
    process.off('exit', killed);
    killed();
    await exited;
  };
}
