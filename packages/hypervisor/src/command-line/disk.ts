import { type DiskDevice, type DomainDefinition, driveAddressOf, machineFamily } from '@vmferry/domain';
import { json } from './option-text.js';
import { pciPlace } from './pci-place.js';
import { unsupported } from './unsupported.js';

/** A disk: the node of its file, the node of its format, and the device. */
export function diskOptions(disk: DiskDevice, bootindex: number | undefined, definition: DomainDefinition): string[] {
  if (disk.bus !== 'virtio' && disk.device === 'disk' && disk.readonly) {
    throw unsupported(
      `The read-only ${disk.bus} disk ${disk.targetDev}`,
      'such disks are writable; make it a virtio disk or a cdrom',
    );
  }
  const id = `disk-${disk.targetDev}`;
  const nodes = disk.source === undefined ? [] : nodeOptions(disk, disk.source, id);
  const common = { id, bootindex, serial: disk.serial, ...(disk.source === undefined ? {} : { drive: `${id}-format` }) };
  return [...nodes, ...json('-device', { ...model(disk, definition), ...common, ...writing(disk) })];
}

function nodeOptions(disk: DiskDevice, filename: string, id: string): string[] {
  const shared = { 'read-only': disk.readonly, cache: { direct: isDirect(disk), 'no-flush': disk.cache === 'unsafe' } };
  const file = {
    driver: disk.type === 'block' ? 'host_device' : 'file',
    'node-name': `${id}-file`,
    filename,
    // The image lock is what keeps two hosts from writing (e1). A read-only node has none, and `auto` is what suits it (L).
    locking: disk.readonly ? 'auto' : 'on',
    ...shared,
  };
  const format = { driver: disk.format, 'node-name': `${id}-format`, file: `${id}-file`, ...shared };
  return [...json('-blockdev', file), ...json('-blockdev', format)];
}

function isDirect({ cache }: DiskDevice): boolean {
  return cache === 'none' || cache === 'directsync';
}

/** What only a disk that is written to has. */
function writing(disk: DiskDevice): Readonly<Record<string, unknown>> {
  if (disk.device === 'cdrom') return {};
  const isWriteThrough = disk.cache === 'writethrough' || disk.cache === 'directsync';
  return { 'write-cache': isWriteThrough ? 'off' : 'on', ...(disk.shareable ? { 'share-rw': true } : {}) };
}

function model(disk: DiskDevice, definition: DomainDefinition): Readonly<Record<string, unknown>> {
  switch (disk.bus) {
    case 'virtio':
      if (disk.source === undefined)
        throw unsupported(`The empty virtio cdrom ${disk.targetDev}`, 'an empty cdrom is on ide or sata');
      return { driver: 'virtio-blk-pci', ...pciPlace('disk', disk.address, definition) };
    case 'ide':
    case 'sata':
      return { driver: disk.device === 'cdrom' ? 'ide-cd' : 'ide-hd', ...drivePlace(disk, definition) };
  }
}

/** q35 has an AHCI controller with six ports of one unit, the pc machines two ide channels of two. */
function drivePlace(disk: DiskDevice, { os }: DomainDefinition): { readonly bus: string; readonly unit: number } {
  const { bus, unit } = driveAddressOf(disk);
  return machineFamily(os.machine) === 'q35' ? { bus: `ide.${bus * 2 + unit}`, unit: 0 } : { bus: `ide.${bus}`, unit };
}
