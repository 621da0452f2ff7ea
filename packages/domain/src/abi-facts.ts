import { attribute, child, childrenOf, isElement, textOf, type XmlElement } from '@vmferry/xml';
import { busOfTarget } from './read-disk.js';

/** One thing that a guest can see: what it is called in a message, and its value as text. */
interface AbiFact {
  readonly label: string;
  readonly value: (of: XmlElement) => string;
}

/** Devices of one kind, with what is compared of each in this order (libvirt-protocol, A11); their address comes last. */
export interface AbiDeviceKind {
  readonly element: string;
  readonly facts: readonly AbiFact[];
}

const own = (label: string, name: string, otherwise = ''): AbiFact => ({
  label,
  value: (of) => attribute(of, name) ?? otherwise,
});
const ofChild = (label: string, childName: string, name: string, otherwise = ''): AbiFact => ({
  label,
  value: (of) => childAttribute(of, childName, name) ?? otherwise,
});
const present = (label: string, childName: string): AbiFact => ({
  label,
  value: (of) => (child(of, childName) === undefined ? 'no' : 'yes'),
});

export const deviceKinds: readonly AbiDeviceKind[] = [
  {
    element: 'disk',
    facts: [
      own('device', 'device', 'disk'),
      { label: 'bus', value: diskBus },
      ofChild('target', 'target', 'dev'),
      { label: 'serial', value: (of) => textOfChild(of, 'serial') },
      {
        label: 'access',
        value: (of) => (attribute(of, 'device') === 'cdrom' || child(of, 'readonly') !== undefined ? 'readonly' : 'writable'),
      },
      present('shared', 'shareable'),
    ],
  },
  {
    element: 'controller',
    facts: [
      own('type', 'type'),
      own('index', 'index', '0'),
      own('model', 'model'),
      own('ports', 'ports'),
      own('vectors', 'vectors'),
      ofChild('chassis', 'target', 'chassis'),
      ofChild('port', 'target', 'port'),
    ],
  },
  { element: 'filesystem', facts: [ofChild('target', 'target', 'dir'), present('readonly', 'readonly')] },
  {
    element: 'interface',
    facts: [
      { label: 'mac', value: (of) => (childAttribute(of, 'mac', 'address') ?? '').toLowerCase() },
      ofChild('model', 'model', 'type', 'virtio'),
    ],
  },
  { element: 'input', facts: [own('type', 'type'), { label: 'bus', value: inputBus }] },
  { element: 'sound', facts: [own('model', 'model')] },
  {
    element: 'video',
    facts: [
      ofChild('model', 'model', 'type'),
      ofChild('vram', 'model', 'vram'),
      ofChild('heads', 'model', 'heads', '1'),
      { label: 'acceleration', value: (of) => canonicalText(acceleration(of)) },
    ],
  },
  { element: 'hostdev', facts: [own('mode', 'mode'), own('subsystem type', 'type')] },
  { element: 'smartcard', facts: [own('mode', 'mode')] },
  { element: 'serial', facts: [ofChild('port', 'target', 'port', '0')] },
  { element: 'parallel', facts: [ofChild('port', 'target', 'port', '0')] },
  {
    element: 'channel',
    facts: [
      ofChild('target type', 'target', 'type'),
      ofChild('target name', 'target', 'name'),
      ofChild('target address', 'target', 'address'),
      ofChild('target port', 'target', 'port'),
    ],
  },
  { element: 'console', facts: [ofChild('target type', 'target', 'type', 'serial')] },
  { element: 'hub', facts: [own('type', 'type')] },
  { element: 'watchdog', facts: [own('model', 'model')] },
  { element: 'memballoon', facts: [own('model', 'model')] },
  { element: 'rng', facts: [own('model', 'model')] },
];

/** The guest's own view of where a device is: the parts that belong to its kind of address, as numbers. */
export function addressText(device: XmlElement): string {
  const address = child(device, 'address');
  if (address === undefined) return 'none';
  const type = attribute(address, 'type') ?? '';
  const parts = addressParts[type] ?? Object.keys(address.attributes).filter((name) => name !== 'type');
  return [type, ...parts.map((name) => `${name}=${numberText(attribute(address, name) ?? '0')}`)].join(' ');
}

const addressParts: Readonly<Record<string, readonly string[]>> = {
  pci: ['domain', 'bus', 'slot', 'function'],
  drive: ['controller', 'bus', 'unit'],
  'virtio-serial': ['controller', 'bus', 'port'],
  ccid: ['controller', 'slot'],
};

function numberText(text: string): string {
  return /^(\d+|0[xX][0-9a-fA-F]+)$/.test(text) ? String(Number(text)) : text;
}

/** An element without regard to the order of its parts. */
export function canonicalText(of: XmlElement | undefined, without: readonly string[] = []): string {
  if (of === undefined) return 'none';
  const attributes = Object.entries(of.attributes).filter(([name]) => !without.includes(name));
  const inner = of.children.map((node) => (isElement(node) ? canonicalText(node) : node.trim()));
  const shown = attributes.map(([name, value]) => ` ${name}='${value}'`).sort();
  return `<${of.name}${shown.join('')}>${inner.sort().join('')}`;
}

function childAttribute(of: XmlElement, childName: string, name: string): string | undefined {
  const found = child(of, childName);
  return found === undefined ? undefined : attribute(found, name);
}

function textOfChild(of: XmlElement, name: string): string {
  const found = child(of, name);
  return found === undefined ? '' : textOf(found).trim();
}

function diskBus(disk: XmlElement): string {
  return childAttribute(disk, 'target', 'bus') ?? busOfTarget(childAttribute(disk, 'target', 'dev') ?? '') ?? '';
}

function inputBus(input: XmlElement): string {
  return attribute(input, 'bus') ?? (attribute(input, 'type') === 'tablet' ? 'usb' : 'ps2');
}

function acceleration(video: XmlElement): XmlElement | undefined {
  const model = child(video, 'model');
  return childrenOf(video, 'acceleration')[0] ?? (model === undefined ? undefined : child(model, 'acceleration'));
}
