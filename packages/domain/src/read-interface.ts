import { attribute, child, type XmlElement } from '@vmferry/xml';
import { readPciAddress } from './address.js';
import type { Bandwidth, BandwidthLimit, InterfaceDevice, NetworkBackend, VirtualPort } from './devices.js';
import { attributeOf, integer, invalid, line, matching, only, optionalInteger, supported, UnsupportedPart } from './fields.js';
import { readBootOrder } from './read-boot-order.js';

/** Parts that would change what the guest sees, or filter what it sends: leaving a filter out would open it. */
const refused = ['acpi', 'backenddomain', 'filterref', 'ip', 'mtu', 'port', 'portForward', 'rom', 'script', 'teaming', 'vlan'];
const types = ['user', 'network', 'bridge', 'direct', 'ethernet'] as const;
const nameMax = 15;

type Fields = Omit<InterfaceDevice, 't' | 'position'>;

export function readInterface(device: XmlElement): Fields {
  const found = refused.find((name) => child(device, name) !== undefined);
  if (found !== undefined) throw new UnsupportedPart(`<${found}>`);
  supported('link state', attributeOf(device, 'link', 'state') ?? 'up', ['up']);
  supported('backend type', attributeOf(device, 'backend', 'type') ?? 'default', ['default']);
  const targetDev = attributeOf(device, 'target', 'dev');
  const actual = only(device, 'actual');
  const models = ['virtio', 'e1000', 'e1000e', 'rtl8139'] as const;
  return {
    mac: readMac(device),
    model: supported('model type', attributeOf(device, 'model', 'type') ?? 'virtio', models),
    configuredBackend: readBackend(device),
    ...(actual === undefined ? {} : { actualBackend: readBackend(actual) }),
    ...(targetDev === undefined ? {} : { targetDev: hostDevice('<interface><target dev>', targetDev) }),
    ...readBootOrder(device),
    ...readPciAddress(device),
  };
}

function readMac(device: XmlElement): string {
  const mac = attributeOf(device, 'mac', 'address');
  if (mac === undefined) throw invalid('<interface><mac address>', 'is missing');
  const pattern = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/;
  return matching('<interface><mac address>', mac.toLowerCase(), pattern, 'a unicast MAC address such as 52:54:00:12:34:56');
}

/** The connection as `<interface>` or its `<actual>` writes it. */
function readBackend(of: XmlElement): NetworkBackend {
  const type = supported('type', attribute(of, 'type') ?? '', types);
  const virtualPort = readVirtualPort(of);
  const bandwidth = readBandwidth(of);
  return {
    type,
    ...readSource(of, type),
    ...(virtualPort === undefined ? {} : { virtualPort }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
  };
}

function readSource(of: XmlElement, type: NetworkBackend['type']): Partial<NetworkBackend> {
  const need = (name: string) => {
    const value = attributeOf(of, 'source', name);
    if (value === undefined) throw invalid(`<${of.name} type='${type}'><source ${name}>`, 'is missing');
    return value;
  };
  switch (type) {
    case 'user':
    case 'ethernet':
      return {};
    case 'network':
      return { network: line('<interface><source network>', need('network'), 255) };
    case 'bridge':
      return { bridge: hostDevice('<interface><source bridge>', need('bridge')) };
    case 'direct': {
      const mode = attributeOf(of, 'source', 'mode') ?? 'vepa';
      return {
        directDev: hostDevice('<interface><source dev>', need('dev')),
        directMode: supported('source mode', mode, ['vepa', 'bridge', 'private', 'passthrough']),
      };
    }
  }
}

function hostDevice(where: string, text: string): string {
  const pattern = new RegExp(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,${nameMax - 1}}$`);
  return matching(where, text, pattern, `the name of a network device, at most ${nameMax} characters`);
}

/** Absent and present-but-empty differ (S3). */
function readVirtualPort(of: XmlElement): VirtualPort | undefined {
  const port = only(of, 'virtualport');
  if (port === undefined) return undefined;
  const type = attribute(port, 'type');
  const parameters = only(port, 'parameters')?.attributes ?? {};
  return { ...(type === undefined ? {} : { type: line('<virtualport type>', type, 64) }), parameters };
}

function readBandwidth(of: XmlElement): Bandwidth | undefined {
  const bandwidth = only(of, 'bandwidth');
  if (bandwidth === undefined) return undefined;
  const inbound = readLimit(bandwidth, 'inbound');
  const outbound = readLimit(bandwidth, 'outbound');
  return { ...(inbound === undefined ? {} : { inbound }), ...(outbound === undefined ? {} : { outbound }) };
}

function readLimit(bandwidth: XmlElement, direction: 'inbound' | 'outbound'): BandwidthLimit | undefined {
  const limit = only(bandwidth, direction);
  if (limit === undefined) return undefined;
  const where = (name: string) => `<bandwidth><${direction} ${name}>`;
  const kibMax = 1024 ** 3;
  const peak = optionalInteger(where('peak'), attribute(limit, 'peak'), 1, kibMax);
  const burst = optionalInteger(where('burst'), attribute(limit, 'burst'), 1, kibMax);
  return {
    average: integer(where('average'), attribute(limit, 'average') ?? '', 1, kibMax),
    ...(peak === undefined ? {} : { peak }),
    ...(burst === undefined ? {} : { burst }),
  };
}
