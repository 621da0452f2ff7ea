import { attribute, child, element, type XmlElement, type XmlNode } from '@vmferry/xml';
import { actualType } from './actual-network.js';
import type { DomainDefinition } from './definition.js';
import type { Bandwidth, BandwidthLimit, InterfaceDevice, NetworkBackend, VirtualPort } from './devices.js';
import { withChildren, withDevices } from './edit.js';
import { readDomain } from './parse.js';

/** How an interface is connected on the host where its guest runs. */
export interface Connection {
  /** What its network was resolved to; absent when it is on no network. */
  readonly actual?: NetworkBackend;
  /** The network device of the host; absent when there is none. */
  readonly targetDev?: string;
}

/** Ours, and those that libvirt gives and takes away again: a document that it has shown names them. */
const generatedPattern = /^(?:vnet-[0-9a-f]{10}|(?:vnet|macvtap|macvlan)\d+)$/;

/** The name of a network device that nobody has chosen; `digest` is at least ten hexadecimal digits. At most 15 characters, the kernel's limit. */
export function generatedDev(digest: string): string {
  return `vnet-${digest.slice(0, 10)}`;
}

export function isGeneratedDev(name: string): boolean {
  return generatedPattern.test(name);
}

/** The interfaces that are connected by a device of the host, in their order: all that are not QEMU's own network. */
export function tapsOf({ devices }: DomainDefinition): InterfaceDevice[] {
  return devices.filter((device) => device.t === 'interface').filter((device) => actualType(device) !== 'user');
}

/** The definition as it runs on one host: each network is resolved, and each network device has its name. */
export function withConnections(
  definition: DomainDefinition,
  connectionOf: (device: InterfaceDevice) => Connection,
): DomainDefinition {
  const byPosition = new Map(
    definition.devices.flatMap((device) => (device.t === 'interface' ? [[device.position, connectionOf(device)] as const] : [])),
  );
  const bare = withoutConnections(definition);
  return changed(bare, (device, position) => {
    const { actual, targetDev } = byPosition.get(position) ?? {};
    return [
      ...device.children,
      ...(targetDev === undefined || targetOf(device) !== undefined ? [] : [element('target', { dev: targetDev })]),
      ...(actual === undefined ? [] : [actualElement(actual)]),
    ];
  });
}

/** The same without what one host has decided: what is kept, and what another host is sent (S2). Devices that the author has named stay named. */
export function withoutConnections(definition: DomainDefinition): DomainDefinition {
  return changed(definition, (device) => device.children.filter((node) => !isHosts(node)));
}

/** The definition whose interfaces have the children that `childrenOf` gives; the same one when nothing changes. */
function changed(
  definition: DomainDefinition,
  childrenOf: (device: XmlElement, position: number) => readonly XmlNode[],
): DomainDefinition {
  let same = true;
  const xml = withDevices(definition.xml, (device, position) => {
    if (device.name !== 'interface') return device;
    const children = childrenOf(device, position);
    if (children.length === device.children.length) return device;
    same = false;
    return withChildren(device, children);
  });
  return same ? definition : readDomain(xml);
}

function isHosts(node: XmlNode): boolean {
  if (typeof node === 'string') return false;
  return node.name === 'actual' || (node.name === 'target' && isGeneratedDev(attribute(node, 'dev') ?? ''));
}

function targetOf(device: XmlElement): string | undefined {
  const target = child(device, 'target');
  return target === undefined ? undefined : attribute(target, 'dev');
}

function actualElement({ type, bridge, directDev, directMode, virtualPort, bandwidth }: NetworkBackend): XmlElement {
  const source = element('source', { bridge, dev: directDev, mode: directMode });
  return element('actual', { type }, [
    ...(Object.keys(source.attributes).length === 0 ? [] : [source]),
    ...(virtualPort === undefined ? [] : [virtualPortElement(virtualPort)]),
    ...(bandwidth === undefined ? [] : [bandwidthElement(bandwidth)]),
  ]);
}

/** One that is there and empty stays there (S3). */
function virtualPortElement({ type, parameters }: VirtualPort): XmlElement {
  return element('virtualport', { type }, Object.keys(parameters).length === 0 ? [] : [element('parameters', parameters)]);
}

function bandwidthElement({ inbound, outbound }: Bandwidth): XmlElement {
  const limit = (name: string, of: BandwidthLimit | undefined) =>
    of === undefined ? [] : [element(name, { average: text(of.average), peak: text(of.peak), burst: text(of.burst) })];
  return element('bandwidth', {}, [...limit('inbound', inbound), ...limit('outbound', outbound)]);
}

function text(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}
