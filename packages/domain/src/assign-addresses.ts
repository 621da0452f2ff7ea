import { VmferryError } from '@vmferry/errors';
import { element, type XmlElement } from '@vmferry/xml';
import { pciAddressText } from './address.js';
import type { DomainDefinition } from './definition.js';
import type { Device, PciAddress } from './devices.js';
import { withChildren, withDevices } from './edit.js';
import { invalid } from './fields.js';
import { type MachineFamily, machineFamily } from './machine.js';
import { readDomain } from './parse.js';

/** Slots of the root bus that the chipset holds: the host bridge, and ICH9's 1f or PIIX's 1. */
export const chipsetSlots: Readonly<Record<MachineFamily, readonly number[]>> = { q35: [0, 0x1f], pc: [0, 1] };
const slotsOfBus = 32;

/**
 * Fixes the address of every device that is one PCI function, and writes it into the document: in document order, each takes the
 * lowest free slot of the root bus, function 0. Given addresses stay, and the same document always gets the same addresses, so
 * that the guest finds its devices where they were after every start and migration.
 *
 * Throws `definition-invalid` when two devices share an address, stand on a slot of the chipset or on a bus that is not there, or
 * when the bus is full; `hypervisor-unsupported` for a machine whose PCI bus is not known here.
 */
export function assignAddresses(definition: DomainDefinition): DomainDefinition {
  const onPci = definition.devices.filter(isPciFunction);
  if (onPci.length === 0) return definition;
  const family = machineFamily(definition.os.machine);
  if (family === undefined) {
    const detail = `PCI addresses are not known for the machine ${definition.os.machine}; use a q35 or pc machine.`;
    throw new VmferryError('hypervisor-unsupported', detail);
  }
  const given = givenAddresses(definition);
  checkGiven(definition, given, family);
  const free = freeSlots(given, family);
  const assigned = new Map<number, number>();
  for (const { position, address } of onPci) {
    if (address !== undefined) continue;
    const slot = free.shift();
    if (slot === undefined)
      throw invalid('<devices>', `need more than the ${slotsOfBus} slots of the root bus; add a pcie-root-port`);
    assigned.set(position, slot);
  }
  if (assigned.size === 0) return definition;
  return readDomain(
    withDevices(definition.xml, (device, position) => {
      const slot = assigned.get(position);
      return slot === undefined ? device : withAddress(device, slot);
    }),
  );
}

type PciDevice = Extract<Device, { readonly address?: PciAddress }>;

/** Whether QEMU makes a PCI function of its own of this device; parts of the chipset are none. */
export function isPciFunction(device: Device): device is PciDevice {
  switch (device.t) {
    case 'interface':
    case 'rng':
      return true;
    case 'disk':
    case 'input':
      return device.bus === 'virtio';
    case 'video':
    case 'memballoon':
      return device.model !== 'none';
    case 'controller':
      return isControllerFunction(device);
    case 'serial':
    case 'console':
    case 'graphics':
    case 'unsupported':
      return false;
  }
}

function isControllerFunction(controller: Extract<Device, { readonly t: 'controller' }>): boolean {
  switch (controller.type) {
    case 'pci':
      return controller.model === 'pcie-root-port';
    case 'usb':
      return controller.model !== 'none';
    case 'virtio-serial':
      return true;
    case 'ide':
    case 'sata':
      return false;
  }
}

interface Given {
  readonly device: PciDevice;
  readonly address: PciAddress;
}

function givenAddresses({ devices }: DomainDefinition): Given[] {
  return devices
    .filter(isPciFunction)
    .flatMap((device) => (device.address === undefined ? [] : [{ device, address: device.address }]));
}

function checkGiven({ devices }: DomainDefinition, given: readonly Given[], family: MachineFamily): void {
  const ports = devices.filter((device) => device.t === 'controller' && device.type === 'pci').map(({ index }) => index);
  const buses = new Set([0, ...ports]);
  const holders = new Map<string, Given>();
  for (const entry of given) {
    const { device, address } = entry;
    const text = pciAddressText(address);
    const where = `<${device.t}><address> ${text}`;
    const holder = holders.get(text);
    if (holder !== undefined) throw invalid(where, `is also that of a <${holder.device.t}>`);
    holders.set(text, entry);
    if (!buses.has(address.bus)) throw invalid(where, `is on the bus ${address.bus}, for which there is no pci controller`);
    if (address.bus === 0 && chipsetSlots[family].includes(address.slot)) throw invalid(where, 'is a slot of the chipset');
    if (address.bus > 0 && address.slot > 0) throw invalid(where, 'is behind a root port, where slot 0 is the only one');
  }
  for (const { device, address } of given) checkFunction(device, address, holders);
}

/** A function above 0 is found by the guest only beside a function 0 that announces it. */
function checkFunction(device: PciDevice, address: PciAddress, holders: ReadonlyMap<string, Given>): void {
  if (address.function === 0) return;
  const first = holders.get(pciAddressText({ ...address, function: 0 }));
  if (first?.address.multifunction === true) return;
  throw invalid(
    `<${device.t}><address> ${pciAddressText(address)}`,
    "needs a device with multifunction='on' at function 0 of its slot",
  );
}

function freeSlots(given: readonly Given[], family: MachineFamily): number[] {
  const taken = new Set(given.filter(({ address }) => address.bus === 0).map(({ address }) => address.slot));
  const slots = Array.from({ length: slotsOfBus }, (_, slot) => slot);
  return slots.filter((slot) => !taken.has(slot) && !chipsetSlots[family].includes(slot));
}

function withAddress(device: XmlElement, slot: number): XmlElement {
  const text = `0x${slot.toString(16).padStart(2, '0')}`;
  const address = element('address', { type: 'pci', domain: '0x0000', bus: '0x00', slot: text, function: '0x0' });
  return withChildren(device, [...device.children, address]);
}
