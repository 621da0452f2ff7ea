import { actualType, type DomainDefinition, type InterfaceDevice } from '@vmferry/domain';
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
    ...json('-netdev', { ...backend(device), id: netdev }),
    ...json('-device', { driver, netdev, id: `net-${index}`, mac: device.mac, bootindex, ...place }),
  ];
}

/**
 * QEMU has no privileges and may not start a helper, so it makes no device on the host: `ethernet` is a tap device that is there
 * already and belongs to QEMU's user.
 */
function backend(device: InterfaceDevice): Readonly<Record<string, unknown>> {
  const type = actualType(device);
  switch (type) {
    case 'user':
      return { type: 'user' };
    case 'ethernet':
      if (device.targetDev === undefined)
        throw unsupported("<interface type='ethernet'> without a <target dev>", 'name the tap device that it uses');
      return { type: 'tap', ifname: device.targetDev, script: 'no', downscript: 'no' };
    case 'network':
    case 'bridge':
    case 'direct':
      throw unsupported(
        `<interface type='${type}'>`,
        "make a tap device of QEMU's user, attach it, and name it as type ethernet",
      );
  }
}
