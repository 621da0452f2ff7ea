import { isElement, type XmlElement } from '@vmferry/xml';
import type { Device } from './devices.js';
import { only, UnsupportedPart } from './fields.js';
import { readConsole, readSerial } from './read-characters.js';
import { readController } from './read-controller.js';
import { readDisk } from './read-disk.js';
import { readGraphics, readVideo } from './read-displays.js';
import { readInterface } from './read-interface.js';
import { readInput, readMemballoon, readRng } from './read-small-devices.js';

/** Every device, in document order. One that cannot be started here becomes `unsupported`; one that is ill-formed throws. */
export function readDevices(root: XmlElement): Device[] {
  const devices: Device[] = [];
  for (const [position, element] of deviceElements(root).entries()) {
    // The emulator is read elsewhere; audio is the host's side of a sound device.
    if (element.name === 'emulator' || element.name === 'audio') continue;
    devices.push(readDevice(element, position, devices));
  }
  return devices;
}

/** The element children of `<devices>`: a device's `position` is its index here. */
export function deviceElements(root: XmlElement): XmlElement[] {
  return only(root, 'devices')?.children.filter(isElement) ?? [];
}

function readDevice(element: XmlElement, position: number, before: readonly Device[]): Device {
  try {
    return readKnown(element, position, before);
  } catch (error) {
    if (!(error instanceof UnsupportedPart)) throw error;
    return { t: 'unsupported', position, element: element.name, ...(error.what === undefined ? {} : { what: error.what }) };
  }
}

function readKnown(element: XmlElement, position: number, before: readonly Device[]): Device {
  switch (element.name) {
    case 'disk':
      return { t: 'disk', position, ...readDisk(element) };
    case 'interface':
      return { t: 'interface', position, ...readInterface(element) };
    case 'serial':
    case 'console': {
      const t = element.name;
      const { backend, port } = t === 'serial' ? readSerial(element) : readConsole(element);
      return { t, position, backend, port: port ?? nextPort(before, t) };
    }
    case 'graphics':
      return { t: 'graphics', position, ...readGraphics(element) };
    case 'video':
      return { t: 'video', position, ...readVideo(element) };
    case 'input':
      return { t: 'input', position, ...readInput(element) };
    case 'controller':
      return { t: 'controller', position, ...readController(element) };
    case 'memballoon':
      return { t: 'memballoon', position, ...readMemballoon(element) };
    case 'rng':
      return { t: 'rng', position, ...readRng(element) };
    default:
      throw new UnsupportedPart();
  }
}

/** One more than the highest port so far, as libvirt numbers them. */
function nextPort(before: readonly Device[], t: 'serial' | 'console'): number {
  return before.reduce((next, device) => (device.t === t ? Math.max(next, device.port + 1) : next), 0);
}
