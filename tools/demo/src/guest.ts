import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { domainXmlOf, linuxGuest } from '@vmferry/guest-image';
import { probe } from '@vmferry/hypervisor';
import { systemClock, systemRandom } from '@vmferry/seams';
import { say } from './say.js';

/**
 * The guest keeps this much of its memory full, so that a migration has something to do. It does not rewrite it: QEMU alone loses some
 * of the Linux guests that do so under TCG, and more of them the more passes it takes (qemu-behaviour, "TCG guests").
 */
const filledMib = 64;
/** What the kernel and the initrd need; the domain's memory is this and what is filled. */
const linuxKib = 81_920;

/** KVM where it runs a guest; it may exist and not do so, inside another virtual machine for example. */
async function chooseAccelerator(): Promise<'kvm' | 'qemu'> {
  const { kvmUsable, version } = await probe({ clock: systemClock, kvm: true });
  const qemu = `QEMU ${version.major}.${version.minor}.${version.micro}`;
  if (kvmUsable) say(`${qemu}; KVM ran a probe of ours, so the guest runs on it (domain type kvm).`);
  else say(`${qemu}; KVM does not run a guest here, so QEMU emulates the processor (domain type qemu, TCG).`);
  return kvmUsable ? 'kvm' : 'qemu';
}

export interface GuestDefinition {
  readonly path: string;
  readonly type: 'kvm' | 'qemu';
}

/** Writes the definition of the guest, and what it boots from, into the folder. */
export async function writeDefinition(folder: string, name: string, serialPath: string): Promise<GuestDefinition> {
  const type = await chooseAccelerator();
  const guest = await linuxGuest();
  // QEMU of a root agent runs as nobody, who cannot look into a checkout below /root.
  const kernelPath = join(folder, 'vmlinuz');
  const initrdPath = join(folder, 'initrd.gz');
  await copyFile(guest.kernelPath, kernelPath);
  await copyFile(guest.initrdPath, initrdPath);
  const path = join(folder, `${name}.xml`);
  const xml = domainXmlOf({
    name,
    uuid: systemRandom.uuid(),
    type,
    kernelPath,
    initrdPath,
    cmdline: `${guest.cmdline} vmferry.fill=${filledMib}`,
    memoryKib: linuxKib + filledMib * 1_024,
    serial: { type: 'unix-connect', path: serialPath },
  });
  await writeFile(path, xml);
  say(
    `The guest: Debian's Linux kernel and a program of ours. It fills ${filledMib} MiB of memory, prints a tick with its uptime every`,
  );
  say('10 ms, and says with each tick whether it found in its memory what it had written there.');
  return { path, type };
}
