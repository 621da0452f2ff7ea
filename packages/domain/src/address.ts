import { attribute, type XmlElement } from '@vmferry/xml';
import type { DriveAddress, PciAddress } from './devices.js';
import { integer, only, UnsupportedPart } from './fields.js';

/** The PCI address of a device that is a PCI function; another kind of address cannot be started here. */
export function readPciAddress(device: XmlElement): { readonly address?: PciAddress } {
  const address = only(device, 'address');
  if (address === undefined) return {};
  const type = attribute(address, 'type');
  if (type !== 'pci') throw new UnsupportedPart(`address type='${type ?? ''}'`);
  const read = (name: string, max: number, otherwise?: string) =>
    integer(`<${device.name}><address ${name}>`, attribute(address, name) ?? otherwise ?? '', 0, max);
  return {
    address: {
      type,
      domain: read('domain', 0, '0'),
      bus: read('bus', 255, '0'),
      slot: read('slot', 31),
      function: read('function', 7, '0'),
      multifunction: attribute(address, 'multifunction') === 'on',
    },
  };
}

export function readDriveAddress(device: XmlElement): { readonly drive?: DriveAddress } {
  const address = only(device, 'address');
  if (address === undefined) return {};
  const type = attribute(address, 'type');
  if (type !== 'drive') throw new UnsupportedPart(`address type='${type ?? ''}'`);
  const read = (name: string, max: number) =>
    integer(`<${device.name}><address ${name}>`, attribute(address, name) ?? '0', 0, max);
  return {
    drive: { type, controller: read('controller', 0), bus: read('bus', 1), target: read('target', 0), unit: read('unit', 5) },
  };
}

/** As it is written in messages and in QEMU: `0000:00:1f.2`. */
export function pciAddressText({ domain, bus, slot, function: fn }: PciAddress): string {
  return `${hex(domain, 4)}:${hex(bus, 2)}:${hex(slot, 2)}.${hex(fn, 1)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
