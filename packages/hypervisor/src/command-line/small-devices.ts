import type { ControllerDevice, Device, DomainDefinition, InputDevice, MemballoonDevice, RngDevice } from '@vmferry/domain';
import { json } from './option-text.js';
import { pciPlace } from './pci-place.js';

/** Controllers that are devices; the others are part of the machine. */
export function controllerOptions(controller: ControllerDevice, definition: DomainDefinition): string[] {
  const place = () => pciPlace('controller', controller.address, definition);
  switch (controller.type) {
    case 'pci': {
      if (controller.model !== 'pcie-root-port') return [];
      const { chassis, index, port } = controller;
      return json('-device', { driver: 'pcie-root-port', id: `pci.${index}`, chassis, port, ...place() });
    }
    case 'usb':
      return controller.model === 'none' ? [] : json('-device', { driver: 'qemu-xhci', id: usbId(controller), ...place() });
    case 'virtio-serial': {
      const { index, ports, vectors } = controller;
      return json('-device', {
        driver: 'virtio-serial-pci',
        id: `virtio-serial-${index}`,
        max_ports: ports,
        vectors,
        ...place(),
      });
    }
    case 'ide':
    case 'sata':
      return [];
  }
}

function usbId({ index }: { readonly index: number }): string {
  return `usb-${index}`;
}

const usbDriver = { mouse: 'usb-mouse', tablet: 'usb-tablet', keyboard: 'usb-kbd' } as const;
const virtioDriver = { mouse: 'virtio-mouse-pci', tablet: 'virtio-tablet-pci', keyboard: 'virtio-keyboard-pci' } as const;

/** Input devices. Those on usb take the ports of the first usb controller in order: the guest knows a device by its port. */
export function inputOptions(inputs: readonly InputDevice[], definition: DomainDefinition): string[] {
  const usbInputs = inputs.filter((input) => input.bus === 'usb');
  return inputs.flatMap((input, index) => inputOption(input, `input-${index}`, usbInputs.indexOf(input) + 1, definition));
}

function inputOption(input: InputDevice, id: string, usbPort: number, definition: DomainDefinition): string[] {
  switch (input.bus) {
    case 'ps2':
      return [];
    case 'usb':
      return json('-device', { driver: usbDriver[input.type], id, bus: firstUsbBus(definition), port: String(usbPort) });
    case 'virtio':
      return json('-device', { driver: virtioDriver[input.type], id, ...pciPlace('input', input.address, definition) });
  }
}

/** A usb input without a usb controller never gets here: the domain package reads it as unsupported. */
function firstUsbBus({ devices }: DomainDefinition): string {
  const isUsb = (device: Device) => device.t === 'controller' && device.type === 'usb' && device.model !== 'none';
  const controller = devices.filter((device) => device.t === 'controller').find(isUsb);
  return `${usbId(controller ?? { index: 0 })}.0`;
}

export function memballoonOptions(balloon: MemballoonDevice, definition: DomainDefinition): string[] {
  if (balloon.model === 'none') return [];
  return json('-device', { driver: 'virtio-balloon-pci', id: 'balloon', ...pciPlace('memballoon', balloon.address, definition) });
}

export function rngOptions(rng: RngDevice, index: number, definition: DomainDefinition): string[] {
  const id = `rng-${index}`;
  const place = pciPlace('rng', rng.address, definition);
  return [
    ...json('-object', { 'qom-type': 'rng-random', id: `${id}-host`, filename: rng.source }),
    ...json('-device', { driver: 'virtio-rng-pci', rng: `${id}-host`, id, ...place }),
  ];
}
