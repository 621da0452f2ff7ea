import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface GuestByHand {
  readonly name: string;
  readonly uuid: string;
  readonly diskPath: string;
  /** Where it connects its serial port to. */
  readonly serialPath: string;
  /** Where it makes its one monitor. */
  readonly monitor: string;
}

/** The boot sector in a QEMU that somebody has started by hand, as `domainXmlOf` would have it started; with `more` devices on request. */
export function startByHand(guest: GuestByHand, more: readonly string[] = []) {
  const { name, uuid, diskPath, serialPath, monitor } = guest;
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ...['-name', name, '-uuid', uuid, '-machine', 'q35', '-accel', 'tcg', '-m', '4M', '-nodefaults', '-display', 'none'],
      ...['-blockdev', `driver=file,node-name=f,filename=${diskPath},locking=on`, '-blockdev', 'driver=raw,node-name=d,file=f'],
      ...['-device', 'virtio-blk-pci,drive=d,bus=pcie.0,addr=1.0,bootindex=1'],
      ...['-chardev', `socket,id=s,path=${serialPath}`, '-device', 'isa-serial,chardev=s'],
      ...['-chardev', `socket,id=m,path=${monitor},server=on,wait=off`, '-mon', 'chardev=m,mode=control'],
      ...more,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const kill = () => qemu.kill('SIGKILL');
  process.once('exit', kill);
  const exited = once(qemu, 'exit').then(() => process.off('exit', kill));
  return { pid: qemu.pid ?? 0, exited, kill };
}
