import { actualBandwidth, actualVirtualPort, type InterfaceDevice, type NetworkBackend } from '@vmferry/domain';
import type { HostNetworks } from './host-networks.js';
import { unavailable } from './links.js';

/** What a network is on this host, with the interface's own port and limits. Throws `network-unavailable`. */
export function resolveNetwork(networks: HostNetworks, name: string, device: InterfaceDevice): NetworkBackend {
  const backend = networks.get(name);
  if (backend === undefined) {
    const advice = `start its agents with --network '${name}=bridge:BRIDGE', or ${name}=direct:DEVICE`;
    throw unavailable(`The interface ${device.mac} is on the network ${name}, which this host does not have: ${advice}.`, {
      network: name,
    });
  }
  const virtualPort = actualVirtualPort(device);
  const bandwidth = actualBandwidth(device);
  return { ...backend, ...(virtualPort === undefined ? {} : { virtualPort }), ...(bandwidth === undefined ? {} : { bandwidth }) };
}
