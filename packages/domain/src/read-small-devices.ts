import { attribute, child, textOf, type XmlElement } from '@vmferry/xml';
import { readPciAddress } from './address.js';
import type { InputDevice, MemballoonDevice, RngDevice } from './devices.js';
import { only, supported, UnsupportedPart } from './fields.js';

export function readInput(input: XmlElement): Omit<InputDevice, 't' | 'position'> {
  const type = supported('type', attribute(input, 'type') ?? '', ['mouse', 'tablet', 'keyboard']);
  const bus = supported('bus', attribute(input, 'bus') ?? (type === 'tablet' ? 'usb' : 'ps2'), ['ps2', 'usb', 'virtio']);
  if (type === 'tablet' && bus === 'ps2') throw new UnsupportedPart('type="tablet" bus="ps2"');
  return { type, bus, ...(bus === 'virtio' ? readPciAddress(input) : {}) };
}

export function readMemballoon(balloon: XmlElement): Omit<MemballoonDevice, 't' | 'position'> {
  const model = supported('model', attribute(balloon, 'model') ?? '', ['virtio', 'none']);
  return { model, ...(model === 'none' ? {} : readPciAddress(balloon)) };
}

export function readRng(rng: XmlElement): Omit<RngDevice, 't' | 'position'> {
  if (child(rng, 'rate') !== undefined) throw new UnsupportedPart('<rate>');
  const backend = only(rng, 'backend');
  supported('backend model', (backend === undefined ? undefined : attribute(backend, 'model')) ?? '', ['random']);
  const source = backend === undefined ? '' : textOf(backend).trim();
  return {
    model: supported('model', attribute(rng, 'model') ?? '', ['virtio']),
    source: supported('backend', source === '' ? '/dev/urandom' : source, ['/dev/urandom', '/dev/random', '/dev/hwrng']),
    ...readPciAddress(rng),
  };
}
