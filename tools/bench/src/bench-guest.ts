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
      return linux('idle Linux guest, 80 MiB', 0, '');
    case 'filled':
      return linux(`Linux guest, 80 MiB and ${fillMib} MiB filled`, fillMib, ` vmferry.fill=${fillMib}`);
    case 'dirtying': {
      const title = `Linux guest, 80 MiB and ${fillMib} MiB filled, ${dirtyMib} MiB/s rewritten`;
      return linux(title, fillMib, ` vmferry.fill=${fillMib} vmferry.dirty=${dirtyMib}`);
    }
    default:
      return name satisfies never;
  }
}

async function linux(title: string, fillMib: number, parameters: string): Promise<BenchGuest> {
  const { kernelPath, initrdPath, cmdline } = await linuxGuest();
  return {
    title,
    define: ({ name, uuid, serial }) =>
      Promise.resolve(
        domainXmlOf({
          ...{ name, uuid, kernelPath, initrdPath },
          memoryKib: linuxKib + fillMib * 1_024,
          cmdline: cmdline + parameters,
          serial: { type: 'unix-connect', path: serial },
        }),
      ),
  };
}
