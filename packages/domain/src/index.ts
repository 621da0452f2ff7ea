export {
  actualBandwidth,
  actualBridge,
  actualDirectDev,
  actualDirectMode,
  actualType,
  actualVirtualPort,
  networkName,
} from './actual-network.js';
export { pciAddressText } from './address.js';
export { assignAddresses, chipsetSlots, isPciFunction } from './assign-addresses.js';
export { placeDisplay, renameDomain, resolveMachine, unplaceDisplay } from './change.js';
export { type AbiDifference, checkAbi, checkTargetDefinition } from './check-abi.js';
export {
  type Connection,
  generatedDev,
  isGeneratedDev,
  tapsOf,
  withConnections,
  withoutConnections,
} from './connections.js';
export type {
  BootDevice,
  ClockDefinition,
  CpuDefinition,
  CpuFeature,
  CpuTopology,
  CrashAction,
  DomainDefinition,
  DomainFeatures,
  DomainType,
  LifecycleAction,
  OsDefinition,
  TimerDefinition,
} from './definition.js';
export type {
  Bandwidth,
  BandwidthLimit,
  CharacterBackend,
  ConsoleDevice,
  ControllerDevice,
  Device,
  DiskDevice,
  DriveAddress,
  GraphicsDevice,
  InputDevice,
  InterfaceDevice,
  InterfaceType,
  MemballoonDevice,
  NetworkBackend,
  PciAddress,
  RngDevice,
  SerialDevice,
  UnsupportedDevice,
  VideoDevice,
  VirtualPort,
} from './devices.js';
export { eventDetailNumber, eventNumber, eventsBetween, type LifecycleEvent, type LifecycleEventName } from './events.js';
export { formatDomain, formatForReaders } from './format.js';
export { type MachineFamily, machineFamily } from './machine.js';
export { type ParseOptions, parseDomain } from './parse.js';
export { checkSupported, displayListenOf, graphicsOf, serialPortsOf } from './questions.js';
export { driveAddressOf } from './read-disk.js';
export type { SecLabel } from './read-seclabels.js';
export { type DomainState, parseState, reasonNumber, type StateWithReason, stateNumber } from './states.js';
