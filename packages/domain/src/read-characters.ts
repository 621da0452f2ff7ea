import { attribute, child, type XmlElement } from '@vmferry/xml';
import type { CharacterBackend } from './devices.js';
import { absolutePath, attributeOf, integer, invalid, matching, supported, UnsupportedPart } from './fields.js';

/** The longest path of a unix socket, without its NUL. */
const socketPathBytesMax = 107;
export const serialPortsMax = 4;

interface Fields {
  readonly backend: CharacterBackend;
  /** Absent: the next free one. */
  readonly port: number | undefined;
}

export function readSerial(serial: XmlElement): Fields {
  supported('target type', attributeOf(serial, 'target', 'type') ?? 'isa-serial', ['isa-serial']);
  return { backend: readBackend(serial), port: readPort(serial) };
}

/** A console of type serial is only another name of a serial port. */
export function readConsole(device: XmlElement): Fields {
  supported('target type', attributeOf(device, 'target', 'type') ?? 'serial', ['serial']);
  return { backend: readBackend(device), port: readPort(device) };
}

function readPort(device: XmlElement): number | undefined {
  const port = attributeOf(device, 'target', 'port');
  return port === undefined ? undefined : integer(`<${device.name}><target port>`, port, 0, serialPortsMax - 1);
}

function readBackend(device: XmlElement): CharacterBackend {
  // A log file would be one more file that QEMU creates, under a name that nothing here checks.
  if (child(device, 'log') !== undefined) throw new UnsupportedPart('<log>');
  const type = supported('type', attribute(device, 'type') ?? '', ['pty', 'null', 'file', 'unix', 'tcp']);
  const source = (name: string) => attributeOf(device, 'source', name);
  const need = (name: string) => {
    const value = source(name);
    if (value === undefined) throw invalid(`<${device.name} type='${type}'><source ${name}>`, 'is missing');
    return value;
  };
  const where = `<${device.name}><source`;
  switch (type) {
    case 'pty':
    case 'null':
      return { type };
    case 'file':
      return { type, path: absolutePath(`${where} path>`, need('path')), append: source('append') === 'on' };
    case 'unix': {
      const mode = supported('source mode', source('mode') ?? 'bind', ['bind', 'connect']);
      return { type, path: absolutePath(`${where} path>`, need('path'), socketPathBytesMax), mode };
    }
    case 'tcp':
      supported('source mode', source('mode') ?? 'bind', ['connect']);
      supported('source tls', source('tls') ?? 'no', ['no']);
      supported('protocol type', attributeOf(device, 'protocol', 'type') ?? 'raw', ['raw']);
      return {
        type,
        host: hostAddress(`${where} host>`, need('host')),
        port: integer(`${where} service>`, need('service'), 1, 65_535),
      };
  }
}

export function hostAddress(where: string, text: string): string {
  return matching(where, text, /^[A-Za-z0-9:][A-Za-z0-9.:_%-]{0,254}$/, 'a host name or an address');
}
