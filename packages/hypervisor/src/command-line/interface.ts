import { actualType, type DomainDefinition, type InterfaceDevice, tapsOf } from '@vmferry/domain';
import { firstInheritedFd, tapsMax } from '../launch.js';
import { json } from './option-text.js';
import { pciPlace } from './pci-place.js';
import { unsupported } from './unsupported.js';

const driverOfModel = { virtio: 'virtio-net-pci', e1000: 'e1000', e1000e: 'e1000e', rtl8139: 'rtl8139' } as const;

export function interfaceOptions(
  device: InterfaceDevice,
  index: number,
  bootindex: number | undefined,
  definition: DomainDefinition,
): string[] {
  const netdev = `net-${index}-host`;
  const driver = driverOfModel[device.model];
  const place = pciPlace('interface', device.address, definition);
  return [
    ...json('-netdev', { ...backend(device, definition), id: netdev }),
    ...json('-device', { driver, netdev, id: `net-${index}`, mac: device.mac, bootindex, ...place }),
  ];
}

/**
 * QEMU has no privileges and may not start a helper, so it makes no device on the host: it inherits the descriptors of its taps, before all others,
 * in the order of `tapsOf`.
 */
function backend(device: InterfaceDevice, definition: DomainDefinition): Readonly<Record<string, unknown>> {
  const type = actualType(device);
  switch (type) {
    case 'user':
      return { type: 'user' };
    case 'ethernet':
    case 'bridge':
    case 'direct': {
      const place = tapsOf(definition).findIndex(({ position }) => position === device.position);
      if (place >= tapsMax) throw unsupported(`More than ${tapsMax} interfaces on devices of the host`, 'remove the others');
      return { type: 'tap', fd: String(firstInheritedFd + place) };
    }
    case 'network':
      throw unsupported("<interface type='network'> that was not resolved", 'it is resolved when its guest is started');
  }
}
