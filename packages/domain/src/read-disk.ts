import { attribute, child, type XmlElement } from '@vmferry/xml';
import { readDriveAddress, readPciAddress } from './address.js';
import type { DiskDevice, DriveAddress } from './devices.js';
import { absolutePath, attributeOf, invalid, matching, only, supported, textOfOnly, UnsupportedPart } from './fields.js';
import { readBootOrder } from './read-boot-order.js';

/** Parts of a disk that would change what the guest sees or how its data is written. */
const refused = [
  'auth',
  'blockio',
  'encryption',
  'geometry',
  'mirror',
  'product',
  'throttlefilters',
  'transient',
  'vendor',
  'wwn',
];

type Fields = Omit<DiskDevice, 't' | 'position'>;

export function readDisk(disk: XmlElement): Fields {
  const found = refused.find((name) => child(disk, name) !== undefined);
  if (found !== undefined) throw new UnsupportedPart(`<${found}>`);
  const device = supported('device', attribute(disk, 'device') ?? 'disk', ['disk', 'cdrom']);
  const type = supported('type', attribute(disk, 'type') ?? 'file', ['file', 'block']);
  const target = readTarget(disk);
  const serial = textOfOnly(disk, 'serial');
  return {
    device,
    type,
    ...readSource(disk, type, device),
    ...readDriver(disk),
    ...target,
    readonly: device === 'cdrom' || only(disk, 'readonly') !== undefined,
    shareable: only(disk, 'shareable') !== undefined,
    ...(serial === undefined
      ? {}
      : { serial: matching('<disk><serial>', serial, serialPattern, 'at most 20 letters, digits or _.+ -') }),
    ...readBootOrder(disk),
    ...(target.bus === 'virtio' ? readPciAddress(disk) : readDriveAddress(disk)),
  };
}

const serialPattern = /^[A-Za-z0-9_.+-](?:[A-Za-z0-9_.+ -]{0,18}[A-Za-z0-9_.+-])?$/;

function readSource(disk: XmlElement, type: DiskDevice['type'], device: DiskDevice['device']): { source?: string } {
  const source = only(disk, 'source');
  const name = type === 'file' ? 'file' : 'dev';
  const path = source === undefined ? undefined : attribute(source, name);
  if (path !== undefined) return { source: absolutePath(`<disk><source ${name}>`, path) };
  if (device === 'cdrom') return {};
  throw invalid(`<disk><source ${name}>`, 'is missing; only a cdrom can be empty');
}

function readDriver(disk: XmlElement): Pick<DiskDevice, 'format' | 'cache'> {
  supported('driver name', attributeOf(disk, 'driver', 'name') ?? 'qemu', ['qemu']);
  const caches = ['default', 'none', 'writethrough', 'writeback', 'directsync', 'unsafe'] as const;
  return {
    // A missing type is raw, never a guess: probing would let a guest write itself a backing file.
    format: supported('driver type', attributeOf(disk, 'driver', 'type') ?? 'raw', ['raw', 'qcow2']),
    cache: supported('driver cache', attributeOf(disk, 'driver', 'cache') ?? 'default', caches),
  };
}

const busOfPrefix: Readonly<Record<string, DiskDevice['bus']>> = { vd: 'virtio', sd: 'sata', hd: 'ide' };

/** The bus that a disk is on when its document names none. */
export function busOfTarget(targetDev: string): DiskDevice['bus'] | undefined {
  return busOfPrefix[targetDev.slice(0, 2)];
}

function readTarget(disk: XmlElement): Pick<DiskDevice, 'targetDev' | 'bus'> {
  const dev = attributeOf(disk, 'target', 'dev');
  if (dev === undefined) throw invalid('<disk><target dev>', 'is missing');
  const targetDev = matching('<disk><target dev>', dev, /^(fd|hd|sd|vd|xvd|ubd)[a-z]{1,3}$/, 'a name such as vda, sda or hda');
  const bus = attributeOf(disk, 'target', 'bus') ?? busOfTarget(targetDev);
  return { targetDev, bus: supported('bus', bus ?? targetDev, ['virtio', 'ide', 'sata']) };
}

/**
 * Where an ide or sata disk sits: as written, or by libvirt's rule from the letter of its target (hda is bus 0 unit 0, hdd bus 1
 * unit 1; sdc is unit 2). On q35 the port of the AHCI controller is `bus * 2 + unit` for ide, `unit` for sata.
 */
export function driveAddressOf(disk: DiskDevice): DriveAddress {
  if (disk.drive !== undefined) return disk.drive;
  const index = targetIndex(disk.targetDev);
  const place = disk.bus === 'ide' ? { bus: Math.floor(index / 2), unit: index % 2 } : { bus: 0, unit: index };
  return { type: 'drive', controller: 0, target: 0, ...place };
}

/** vda is 0, vdz 25, vdaa 26. */
function targetIndex(targetDev: string): number {
  const letters = targetDev.replace(/^(xvd|ubd|fd|hd|sd|vd)/, '');
  return [...letters].reduce((index, letter) => index * 26 + letter.charCodeAt(0) - 96, 0) - 1;
}
