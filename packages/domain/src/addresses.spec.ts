import { VmferryError } from '@vmferry/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pciAddressText } from './address.js';
import { assignAddresses, isPciFunction } from './assign-addresses.js';
import type { DomainDefinition } from './definition.js';
import { bootSector, everything, withDevices } from './examples.spec-helper.js';
import { formatDomain } from './format.js';
import { parseDomain } from './parse.js';
import { driveAddressOf } from './read-disk.js';

function addressesOf({ devices }: DomainDefinition): string[] {
  return devices.filter(isPciFunction).map(({ address }) => (address === undefined ? 'none' : pciAddressText(address)));
}

function assigned(devices: string, machine = 'q35'): string[] {
  return addressesOf(assignAddresses(parseDomain(withDevices(devices).replace("'q35'", `'${machine}'`))));
}

const disk = (dev: string, address = '') => `<disk><source file='/${dev}'/><target dev='${dev}' bus='virtio'/>${address}</disk>`;
const at = (slot: string, more = '') => `<address type='pci' slot='${slot}'${more}/>`;

describe('assignAddresses', () => {
  it('gives each PCI function a slot of the root bus from 1 on, in document order', () => {
    expect(
      assigned(`${disk('vda')}<interface type='user'/><rng model='virtio'><backend model='random'/></rng>${disk('vdb')}`),
    ).toEqual(['0000:00:01.0', '0000:00:02.0', '0000:00:03.0', '0000:00:04.0']);
  });

  it('writes them into the document, keeps given ones and fills the gaps', () => {
    const domain = assignAddresses(parseDomain(everything));
    expect(addressesOf(domain)).toEqual([
      '0000:00:01.0',
      '0000:00:02.0',
      '0000:00:03.0',
      '0000:01:00.0',
      '0000:00:04.0',
      '0000:00:05.0',
      '0000:00:06.0',
      '0000:00:07.0',
    ]);
    expect(formatDomain(domain)).toContain(
      "<memballoon model='virtio'>\n      <address type='pci' domain='0x0000' bus='0x00' slot='0x06' function='0x0'/>\n    </memballoon>",
    );
    expect(addressesOf(parseDomain(formatDomain(domain)))).toEqual(addressesOf(domain));
  });

  it('changes nothing the second time', () => {
    const once = assignAddresses(parseDomain(bootSector));
    expect(assignAddresses(once)).toBe(once);
  });

  it('gives no address to parts of the machine and to devices on other buses', () => {
    const none =
      "<controller type='pci' model='pcie-root'/><controller type='sata'/><controller type='usb' model='none'/><input type='mouse' bus='ps2'/>" +
      "<disk><source file='/x'/><target dev='hda' bus='ide'/></disk><serial type='null'/><memballoon model='none'/><video><model type='none'/></video>";
    const domain = parseDomain(withDevices(none));
    expect(assignAddresses(domain)).toBe(domain);
  });

  it('leaves slot 1 of a pc machine to its chipset', () => {
    expect(assigned(disk('vda'), 'pc-i440fx-7.2')).toEqual(['0000:00:02.0']);
    expect(() => assigned(disk('vda', at('1')), 'pc')).toThrow(/chipset/);
  });

  it('has 30 slots on the root bus of q35', () => {
    const nics = (count: number) => "<interface type='user'/>".repeat(count);
    expect(assigned(nics(30)).at(-1)).toBe('0000:00:1e.0');
    expect(() => assigned(nics(31))).toThrow(/slots of the root bus/);
  });

  it.each([
    ['one address twice', disk('vda', at('3')) + disk('vdb', at('0x03')), /also that of a <disk>/],
    ['the slot of the host bridge', disk('vda', at('0')), /chipset/],
    ['the slot of ICH9', disk('vda', at('0x1f')), /chipset/],
    ['a bus that is not there', disk('vda', at('0', " bus='4'")), /no pci controller/],
    [
      'a slot behind a root port',
      `<controller type='pci' index='1' model='pcie-root-port'/>${disk('vda', at('2', " bus='1'"))}`,
      /root port/,
    ],
    ['a function without a function 0', disk('vda', at('3', " function='1'")), /multifunction/],
    ['a function 0 that announces none', disk('vda', at('3')) + disk('vdb', at('3', " function='1'")), /multifunction/],
  ])('refuses %s', (_, devices, message) => {
    expect(() => assigned(devices)).toThrow(message);
    expect(() => assigned(devices)).toThrow(VmferryError);
  });

  it('accepts functions beside one that announces them', () => {
    expect(assigned(disk('vda', at('3', " multifunction='on'")) + disk('vdb', at('3', " function='1'")) + disk('vdc'))).toEqual([
      '0000:00:03.0',
      '0000:00:03.1',
      '0000:00:01.0',
    ]);
  });

  it('refuses a machine whose bus is not known', () => {
    expect(() => assigned(disk('vda'), 'microvm')).toThrow(/microvm/);
  });

  it('is a function of the document, and never lets two devices share an address', () => {
    const device = fc
      .tuple(fc.boolean(), fc.integer({ min: 1, max: 30 }))
      .map(([given, slot]) => (given ? at(String(slot)) : ''));
    fc.assert(
      fc.property(fc.array(device, { maxLength: 12 }), (addresses) => {
        const given = addresses.filter((address) => address !== '');
        fc.pre(new Set(given).size === given.length);
        const devices = addresses.map((address, index) => disk(`vd${String.fromCharCode(97 + index)}`, address)).join('');
        const result = assigned(devices);
        expect(new Set(result).size).toBe(addresses.length);
        expect(assigned(devices)).toEqual(result);
        for (const [index, address] of addresses.entries()) {
          const slot = /slot='(\d+)'/.exec(address)?.[1];
          if (slot !== undefined) expect(result[index]).toBe(`0000:00:${Number(slot).toString(16).padStart(2, '0')}.0`);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('driveAddressOf', () => {
  it.each([
    ['hda', 'ide', 0, 0],
    ['hdd', 'ide', 1, 1],
    ['sda', 'sata', 0, 0],
    ['sdf', 'sata', 0, 5],
  ])('%s on %s is bus %i unit %i', (dev, bus, expectedBus, unit) => {
    const [device] = parseDomain(withDevices(`<disk><source file='/d'/><target dev='${dev}' bus='${bus}'/></disk>`)).devices;
    expect(device?.t === 'disk' ? driveAddressOf(device) : undefined).toMatchObject({ bus: expectedBus, unit });
  });
  it('takes a written address first', () => {
    const text = "<disk><source file='/d'/><target dev='sda' bus='sata'/><address type='drive' unit='3'/></disk>";
    const [device] = parseDomain(withDevices(text)).devices;
    expect(device?.t === 'disk' ? driveAddressOf(device).unit : undefined).toBe(3);
  });
});
