import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import {
  actualBridge,
  actualDirectDev,
  actualDirectMode,
  actualType,
  type Connection,
  type DomainDefinition,
  generatedDev,
  type InterfaceDevice,
  networkName,
  tapsOf,
  withConnections,
  withoutConnections,
} from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { closeFd, openFile, openTap, tapName } from '@vmferry/posix';
import type { Clock } from '@vmferry/seams';
import { faultsOf } from './faults.js';
import type { HostNetworks } from './host-networks.js';
import { type Links, unavailable } from './links.js';
import { associateAll, directOf, failuresOf, type PortProfiles, rolledBack, switchPortsOf } from './port-profiles.js';
import { resolveNetwork } from './resolve-network.js';

export interface InterfacesOptions {
  readonly clock: Clock;
  readonly hostUuid: string;
  readonly networks: HostNetworks;
  readonly links: Links;
  readonly ports: PortProfiles;
}

/**
 * What the interfaces of guests are connected to on this host. QEMU has no privileges: the agent makes each device and hands QEMU its descriptor.
 * A tap is gone with the last descriptor of it, whoever dies; a macvtap stays until `remove`, and its name can be derived.
 */
export class HostInterfaces {
  readonly #o: InterfacesOptions;

  constructor(options: InterfacesOptions) {
    this.#o = options;
  }

  /** The definition as it runs on this host; what another host had decided is left behind. Throws `network-unavailable` for a network that it does not have. */
  resolve(definition: DomainDefinition): DomainDefinition {
    const bare = withoutConnections(definition);
    return withConnections(bare, (device) => this.#connectionOf(bare, device));
  }

  /** All that `open` would meet in its way, found without changing anything; each is `network-unavailable`. */
  faults(resolved: DomainDefinition): Promise<readonly VmferryError[]> {
    return faultsOf(this.#o, resolved);
  }

  /** The descriptors of the taps, in the order of `tapsOf`, the caller's to close. Throws `network-unavailable`, and has left nothing then. */
  async open(resolved: DomainDefinition): Promise<readonly number[]> {
    const fds: number[] = [];
    const opened: InterfaceDevice[] = [];
    try {
      for (const device of tapsOf(resolved)) {
        fds.push(await this.#open(device));
        opened.push(device);
      }
      return fds;
    } catch (thrown) {
      const error = unconnected(resolved, thrown);
      for (const fd of fds) closeFd(fd);
      for (const later of await failuresOf(opened.map((device) => () => this.#remove(device))))
        error.suppress(later, this.#o.clock.wall());
      throw error;
    }
  }

  /**
   * Just before the guest may run: until then a macvtap is down, for with the guest's address it would draw frames away from the host where the
   * guest still runs. Ports are associated in their order, all of them or none. Idempotent. Throws `network-unavailable`. A
   * guest that something else has started has its own devices.
   */
  async goOnline(resolved: DomainDefinition): Promise<void> {
    const ports = switchPortsOf(resolved);
    await associateAll(this.#o, ports);
    try {
      // In the mode passthrough it has had the address of the device below until now, which takes the guest's.
      for (const { targetDev, mac } of directOf(resolved))
        if (targetDev !== undefined) await this.#o.links.change('set', 'dev', targetDev, 'address', mac, 'up');
    } catch (thrown) {
      throw await rolledBack(this.#o, ports, thrown);
    }
  }

  /**
   * Once QEMU is gone: ports are disassociated and macvtaps removed. Of a definition that was not resolved too, for a start that an agent did not
   * survive. Idempotent; tries all, then throws the first failure.
   */
  async remove(definition: DomainDefinition): Promise<void> {
    const known = this.#asKnown(definition);
    const failures = await failuresOf([
      ...switchPortsOf(known)
        .reverse()
        .map((port) => () => this.#o.ports.disassociate(port)),
      ...directOf(known).map((device) => () => this.#remove(device)),
    ]);
    const [first, ...later] = failures;
    if (failures.length === 0) return;
    const error = VmferryError.from(first, 'network-unavailable');
    for (const each of later) error.suppress(each, this.#o.clock.wall());
    throw error;
  }

  #connectionOf({ uuid }: DomainDefinition, device: InterfaceDevice): Connection {
    const name = networkName(device);
    const actual = name === undefined ? undefined : resolveNetwork(this.#o.networks, name, device);
    if ((actual?.type ?? actualType(device)) === 'user') return {};
    const digest = createHash('sha256').update(`${this.#o.hostUuid}/${uuid}/${device.position}`).digest('hex');
    return { targetDev: device.targetDev ?? generatedDev(digest), ...(actual === undefined ? {} : { actual }) };
  }

  /** One whose networks this host does not have any more has nothing but what its own document says. */
  #asKnown(definition: DomainDefinition): DomainDefinition {
    if (tapsOf(definition).every(({ targetDev }) => targetDev !== undefined)) return definition;
    try {
      return this.resolve(definition);
    } catch (thrown) {
      if (VmferryError.is(thrown, 'network-unavailable')) return definition;
      throw thrown;
    }
  }

  async #open(device: InterfaceDevice): Promise<number> {
    const { links } = this.#o;
    const dev = devOf(device);
    switch (actualType(device)) {
      case 'direct':
        return this.#openMacvtap(device, dev);
      case 'ethernet': {
        // One that an administrator has made is his to set up.
        const made = (await links.find(dev)) === null;
        return withTap(dev, made ? 'make' : 'take', async () => made && links.change('set', 'dev', dev, 'up'));
      }
      case 'bridge': {
        const bridge = actualBridge(device) ?? '';
        const { mtu } = (await links.find(bridge)) ?? { mtu: 1_500 };
        const address = ['address', hostAddress(device.mac), 'mtu', String(mtu)];
        return withTap(dev, 'make', () => links.change('set', 'dev', dev, ...address, 'master', bridge, 'up'));
      }
      case 'user':
      case 'network':
        throw new VmferryError('internal', `The interface ${device.mac} is on no device of this host.`);
    }
  }

  async #openMacvtap(device: InterfaceDevice, dev: string): Promise<number> {
    const { links } = this.#o;
    // Left by a start that its agent did not survive: whoever starts a guest holds its live lock, and so no QEMU has it.
    await this.#remove(device);
    const below = ['link', actualDirectDev(device) ?? '', 'name', dev, 'address', device.mac];
    await links.change('add', ...below, 'type', 'macvtap', 'mode', modeWord(device));
    try {
      const { index = 0 } = (await links.find(dev)) ?? {};
      return openMacvtap(dev, `/dev/tap${index}`);
    } catch (thrown) {
      const error = VmferryError.from(thrown);
      await this.#remove(device).catch((later: unknown) => error.suppress(later, this.#o.clock.wall()));
      throw error;
    }
  }

  async #remove(device: InterfaceDevice): Promise<void> {
    if (actualType(device) !== 'direct' || device.targetDev === undefined) return;
    const link = await this.#o.links.find(device.targetDev);
    if (link?.kind === 'macvtap') await this.#o.links.change('delete', 'dev', device.targetDev);
  }
}

/** The kernel's own words are under the code that a caller knows. */
function unconnected({ name }: DomainDefinition, cause: unknown): VmferryError {
  if (VmferryError.is(cause, 'network-unavailable')) return cause;
  const detail = `The interfaces of domain ${name} could not be connected: ${VmferryError.from(cause).message}`;
  return new VmferryError('network-unavailable', detail, { cause });
}

/** iproute2 shortens one of them. */
function modeWord(device: InterfaceDevice): string {
  const mode = actualDirectMode(device) ?? 'vepa';
  return mode === 'passthrough' ? 'passthru' : mode;
}

function devOf({ targetDev, mac }: InterfaceDevice): string {
  if (targetDev !== undefined) return targetDev;
  throw new VmferryError('internal', `The device of the interface ${mac} has no name.`);
}

/** A bridge takes the lowest address of its ports for its own, which a guest must not change: that of the host's end is the highest. */
function hostAddress(mac: string): string {
  return `fe${mac.slice(2)}`;
}

async function withTap(dev: string, how: 'make' | 'take', setUp: () => Promise<unknown>): Promise<number> {
  const fd = openTap(dev, how);
  try {
    await setUp();
    return fd;
  } catch (thrown) {
    closeFd(fd);
    throw thrown;
  }
}

/** Two network namespaces may have devices of one number, and /dev is one for all: the kernel is asked whose it is. */
function openMacvtap(dev: string, path: string): number {
  const fd = openFile(path, constants.O_RDWR, 0);
  if (tapName(fd) === dev) return fd;
  closeFd(fd);
  throw unavailable(`${path} belongs to another device than ${dev}, as to one of another network namespace.`);
}
