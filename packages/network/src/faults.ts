import { constants } from 'node:fs';
import {
  actualBandwidth,
  actualBridge,
  actualDirectDev,
  actualType,
  actualVirtualPort,
  type DomainDefinition,
  type InterfaceDevice,
  isGeneratedDev,
  tapsOf,
} from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { closeFd, mayAdministerNetwork, openFile, tunDevice } from '@vmferry/posix';
import { type Links, unavailable } from './links.js';
import type { PortProfiles } from './port-profiles.js';

interface Around {
  readonly links: Links;
  readonly ports: PortProfiles;
}

/** All that would be in the way of the taps of this definition on this host; nothing is changed. */
export async function faultsOf(around: Around, resolved: DomainDefinition): Promise<VmferryError[]> {
  const faults: VmferryError[] = [];
  for (const device of tapsOf(resolved)) {
    for (const what of await faultsOfDevice(around, device))
      faults.push(
        unavailable(`The interface ${device.mac} of domain ${resolved.name} cannot be connected: ${what}.`, { mac: device.mac }),
      );
  }
  return faults;
}

async function faultsOfDevice(around: Around, device: InterfaceDevice): Promise<string[]> {
  const limits = actualBandwidth(device) === undefined ? [] : ['its <bandwidth> would not be kept here; remove it'];
  switch (actualType(device)) {
    case 'bridge':
      return [...limits, ...privilege(), ...tun(), ...(await taken(around, device)), ...(await bridge(around, device))];
    case 'direct':
      return [...limits, ...privilege(), ...(await direct(around, device))];
    case 'ethernet':
      return [...limits, ...((await around.links.find(device.targetDev ?? '')) === null ? privilege() : []), ...tun()];
    case 'user':
    case 'network':
      return [];
  }
}

function privilege(): string[] {
  return mayAdministerNetwork() ? [] : ['the agent may not make network devices; run it as root or give it CAP_NET_ADMIN'];
}

function tun(): string[] {
  try {
    closeFd(openFile(tunDevice, constants.O_RDWR, 0));
    return [];
  } catch (thrown) {
    return [`tap devices cannot be had (${VmferryError.from(thrown).message.replace(/\.$/, '')})`];
  }
}

/** Of a name that nobody has chosen, what is there can only be left by a start that its agent did not survive, and is this guest's. */
async function taken({ links }: Around, { targetDev = '' }: InterfaceDevice): Promise<string[]> {
  if (isGeneratedDev(targetDev) || (await links.find(targetDev)) === null) return [];
  return [`there is a network device ${targetDev} already; choose another <target dev>, or leave it out`];
}

async function bridge({ links }: Around, device: InterfaceDevice): Promise<string[]> {
  const name = actualBridge(device) ?? '';
  const type = actualVirtualPort(device)?.type;
  const port = type === undefined ? [] : [`${name} is a bridge of Linux, which has no virtual port of type ${type}`];
  const link = await links.find(name);
  if (link === null) return [...port, `there is no bridge ${name} on this host`];
  return link.kind === 'bridge' ? port : [...port, `${name} is no bridge`];
}

async function direct({ links, ports }: Around, device: InterfaceDevice): Promise<string[]> {
  const { targetDev = '' } = device;
  const below = actualDirectDev(device) ?? '';
  const profile = actualVirtualPort(device);
  const obstacle = profile?.type === undefined ? null : ports.obstacle(profile);
  return [
    ...(isGeneratedDev(targetDev) ? [] : [`a macvtap is named by the host; leave <target dev='${targetDev}'/> out`]),
    ...((await links.find(below)) === null ? [`there is no network device ${below} on this host`] : []),
    ...(obstacle === null ? [] : [obstacle]),
  ];
}
