import { bootSectorGuest, domainXmlOf, linuxGuest } from '@vmferry/guest-image';
import type { BenchArguments, GuestName } from './arguments.js';

/** A guest that can be defined any number of times, each with a disk, a name and a serial socket of its own. */
export interface BenchGuest {
  readonly title: string;
  /** The XML of one of them; `folder` is where its files go. */
  define(o: { readonly name: string; readonly uuid: string; readonly folder: string; readonly serial: string }): Promise<string>;
}

/** The kernel, page tables and page cache that a Linux guest needs beside what it fills. */
const linuxKib = 81_920;

export async function benchGuest(name: GuestName, { fillMib, dirtyMib }: BenchArguments): Promise<BenchGuest> {
  const memoryKib = linuxKib + fillMib * 1_024;
  switch (name) {
    case 'boot-sector': {
      const { copyFor } = await bootSectorGuest({ writable: true });
      return {
        title: 'boot-sector guest, 4 MiB, writable disk',
        define: async ({ folder, serial, ...who }) =>
          domainXmlOf({ ...who, diskPath: await copyFor(folder), serial: { type: 'unix-connect', path: serial } }),
      };
    }
    case 'idle':
      return linux({ title: 'idle Linux guest, 80 MiB', memoryKib: linuxKib, fillMib: 0, dirtyMib: 0 });
    case 'filled':
      return linux({ title: `Linux guest, 80 MiB and ${fillMib} MiB filled`, memoryKib, fillMib, dirtyMib: 0 });
    case 'dirtying': {
      const title = `Linux guest, 80 MiB and ${fillMib} MiB filled, ${dirtyMib} MiB/s rewritten`;
      return linux({ title, memoryKib, fillMib, dirtyMib });
    }
    default:
      return name satisfies never;
  }
}

interface LinuxGuestOptions {
  readonly title: string;
  readonly memoryKib: number;
  readonly fillMib: number;
  readonly dirtyMib: number;
  /** Both QEMUs have all of the guest's memory before the migration begins, so that no page is faulted in while it runs. */
  readonly faultedIn?: boolean;
}

/** A Linux guest whose fill is incompressible, written by a generator of the guest's at boot. */
export async function linux({ title, memoryKib, fillMib, dirtyMib, faultedIn }: LinuxGuestOptions): Promise<BenchGuest> {
  const { kernelPath, initrdPath, cmdline } = await linuxGuest();
  const fill = fillMib > 0 ? ` vmferry.fill=${fillMib}` : '';
  const dirty = dirtyMib > 0 ? ` vmferry.dirty=${dirtyMib}` : '';
  return {
    title,
    define: ({ name, uuid, serial }) =>
      Promise.resolve(
        domainXmlOf({
          ...{ name, uuid, kernelPath, initrdPath, memoryKib },
          cmdline: cmdline + fill + dirty,
          memoryAllocation: faultedIn === true ? 'immediate' : 'ondemand',
          serial: { type: 'unix-connect', path: serial },
        }),
      ),
  };
}
