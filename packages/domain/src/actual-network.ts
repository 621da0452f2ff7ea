import type { Bandwidth, InterfaceDevice, InterfaceType, NetworkBackend, VirtualPort } from './devices.js';

// S2: this is the only place that reads `configuredBackend` and `actualBackend`. A network is resolved when the domain starts;
// whoever asked the configuration after that would work on the wrong bridge.

function backendOf(device: InterfaceDevice): NetworkBackend {
  const { configuredBackend, actualBackend } = device;
  return configuredBackend.type === 'network' && actualBackend !== undefined ? actualBackend : configuredBackend;
}

/** `network` when it has not been resolved. */
export function actualType(device: InterfaceDevice): InterfaceType {
  return backendOf(device).type;
}

export function actualBridge(device: InterfaceDevice): string | undefined {
  return backendOf(device).bridge;
}

export function actualDirectDev(device: InterfaceDevice): string | undefined {
  return backendOf(device).directDev;
}

export function actualDirectMode(device: InterfaceDevice): NetworkBackend['directMode'] {
  return backendOf(device).directMode;
}

export function actualVirtualPort(device: InterfaceDevice): VirtualPort | undefined {
  return backendOf(device).virtualPort;
}

export function actualBandwidth(device: InterfaceDevice): Bandwidth | undefined {
  return backendOf(device).bandwidth;
}

/** The name of the configured network, which stays the same however it was resolved. */
export function networkName(device: InterfaceDevice): string | undefined {
  return device.configuredBackend.network;
}
