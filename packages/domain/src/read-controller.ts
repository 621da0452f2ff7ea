import { attribute, type XmlElement } from '@vmferry/xml';
import { readPciAddress } from './address.js';
import type { ControllerDevice } from './devices.js';
import { attributeOf, integer, invalid, optionalInteger, supported, UnsupportedPart } from './fields.js';

/** What `ControllerDevice` holds beside its tag and place; Omit would merge its variants. */
type Fields = ControllerDevice extends infer C ? (C extends ControllerDevice ? Omit<C, 't' | 'position'> : never) : never;

export function readController(controller: XmlElement): Fields {
  const type = supported('type', attribute(controller, 'type') ?? '', ['pci', 'ide', 'sata', 'usb', 'virtio-serial']);
  const index = integer('<controller index>', attribute(controller, 'index') ?? '0', 0, 255);
  switch (type) {
    case 'pci':
      return readPciController(controller, index);
    case 'ide':
    case 'sata':
      // The first one is part of the machine. Others would be devices of their own.
      if (index !== 0) throw new UnsupportedPart(`type="${type}" index="${index}"`);
      return { type, index, ...readPciAddress(controller) };
    case 'usb': {
      const model = supported('model', attribute(controller, 'model') ?? 'piix3-uhci', ['none', 'qemu-xhci']);
      return { type, index, model, ...(model === 'none' ? {} : readPciAddress(controller)) };
    }
    case 'virtio-serial': {
      const ports = optionalInteger('<controller ports>', attribute(controller, 'ports'), 1, 31);
      const vectors = optionalInteger('<controller vectors>', attribute(controller, 'vectors'), 0, 32);
      return {
        type,
        index,
        ...(ports === undefined ? {} : { ports }),
        ...(vectors === undefined ? {} : { vectors }),
        ...readPciAddress(controller),
      };
    }
  }
}

function readPciController(controller: XmlElement, index: number): Fields {
  const model = supported('model', attribute(controller, 'model') ?? '', ['pcie-root', 'pci-root', 'pcie-root-port']);
  if (model !== 'pcie-root-port') {
    if (index !== 0) throw invalid('<controller index>', `is ${index}; the root bus has the index 0`);
    return { type: 'pci', index, model };
  }
  if (index === 0) throw invalid('<controller index>', 'is 0, which is the root bus; a root port counts from 1');
  return {
    type: 'pci',
    index,
    model,
    chassis: optionalInteger('<controller><target chassis>', attributeOf(controller, 'target', 'chassis'), 0, 255) ?? index,
    port: optionalInteger('<controller><target port>', attributeOf(controller, 'target', 'port'), 0, 255) ?? 0,
    ...readPciAddress(controller),
  };
}
