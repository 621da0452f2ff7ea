import { attribute, childrenOf, type XmlElement } from '@vmferry/xml';
import type { OsDefinition } from './definition.js';
import { absolutePath, invalid, line, matching, oneOf, only, textOfOnly } from './fields.js';

/** The command line that an x86 kernel reads, without its NUL. */
const cmdlineBytesMax = 2047;

export function readOs(root: XmlElement): OsDefinition {
  const os = only(root, 'os');
  const type = os === undefined ? undefined : only(os, 'type');
  if (os === undefined || type === undefined) throw invalid('<os><type>', 'is missing');
  const machine = attribute(type, 'machine');
  if (machine === undefined) throw invalid('<os><type machine>', 'is missing; name a machine type such as q35');
  const loader = textOfOnly(os, 'loader');
  return {
    arch: oneOf('<os><type arch>', attribute(type, 'arch') ?? 'x86_64', ['x86_64', 'i686']),
    machine: machineType(machine),
    ...readKernel(os),
    ...(loader === undefined ? {} : { loader: absolutePath('<os><loader>', loader) }),
    boot: childrenOf(os, 'boot').map((boot) =>
      oneOf('<os><boot dev>', attribute(boot, 'dev') ?? '', ['hd', 'cdrom', 'network', 'fd']),
    ),
  };
}

function machineType(text: string): string {
  return matching('<os><type machine>', text, /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'a machine type such as pc-q35-7.2');
}

function readKernel(os: XmlElement): Pick<OsDefinition, 'kernel' | 'initrd' | 'cmdline'> {
  const kernel = textOfOnly(os, 'kernel');
  const initrd = textOfOnly(os, 'initrd');
  const cmdline = textOfOnly(os, 'cmdline');
  if (kernel === undefined && (initrd ?? cmdline) !== undefined) {
    throw invalid('<os><kernel>', 'is missing, and <initrd> and <cmdline> need it');
  }
  return {
    ...(kernel === undefined ? {} : { kernel: absolutePath('<os><kernel>', kernel) }),
    ...(initrd === undefined ? {} : { initrd: absolutePath('<os><initrd>', initrd) }),
    ...(cmdline === undefined ? {} : { cmdline: line('<os><cmdline>', cmdline, cmdlineBytesMax) }),
  };
}
