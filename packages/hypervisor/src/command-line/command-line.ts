import { type CharacterBackend, checkSupported, type DomainDefinition, serialPortsOf } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import type { Capabilities } from '../probe.js';
import { bootOrder } from './boot-order.js';
import { cpuOptions } from './cpu.js';
import { diskOptions } from './disk.js';
import { graphicsOptions, videoOptions } from './display.js';
import { interfaceOptions } from './interface.js';
import { machineOptions } from './machine.js';
import { keyValues } from './option-text.js';
import { serialOptions } from './serial.js';
import { controllerOptions, inputOptions, memballoonOptions, rngOptions } from './small-devices.js';
import { unsupported } from './unsupported.js';

export interface CommandLineOptions {
  /** QEMU waits for a guest (`-incoming defer`) instead of making one. */
  readonly incoming: boolean;
  /** One monitor for each agent of the host (qemu-behaviour, K); paths in `runtimeDir`, at most 107 bytes. */
  readonly monitors: { readonly source: string; readonly destination: string };
  readonly capabilities: Pick<Capabilities, 'emulator' | 'kvmUsable' | 'machines'>;
  /** The certificates of SPICE displays; null where they have none. */
  readonly spiceTlsDir: string | null;
  /** The folder of QEMU's user, mode 0700, in which QEMU makes its monitors. */
  readonly runtimeDir: string;
  /** Backends that take the place of the definition's, by serial port: on another host a path may be another. */
  readonly serialOverrides?: Readonly<Record<number, CharacterBackend>>;
}

/**
 * QEMU's command line for a definition whose machine is resolved and whose addresses are assigned. It is pure, and the same for
 * the same input. Values go in as JSON where QEMU 7.2 takes JSON, with doubled commas where it does not, and no shell ever sees
 * them. QEMU starts stopped (-S): only Finish, or a start, runs it. A guest that powers off stays as a stopped QEMU in the status
 * `shutdown` until the agent acts on its SHUTDOWN event, so that an agent that was away still learns how the guest ended.
 *
 * The ports of its display are chosen. Throws `device-unsupported` or `hypervisor-unsupported`, naming what cannot be started, and `definition-invalid` for a device
 * without its address.
 */
export function commandLine(definition: DomainDefinition, o: CommandLineOptions): { readonly argv: string[] } {
  checkSupported(definition);
  const { emulator = o.capabilities.emulator } = definition;
  if (emulator !== o.capabilities.emulator) {
    throw unsupported(`<emulator> ${emulator}`, `the emulator of this host is ${o.capabilities.emulator}`);
  }
  return {
    argv: [
      emulator,
      ...identityOptions(definition),
      ...machineOptions(definition, o.capabilities),
      ...cpuOptions(definition),
      ...monitorOptions(o),
      ...deviceOptions(definition, o),
      ...(o.incoming ? ['-incoming', 'defer'] : []),
    ],
  };
}

const sandbox = { obsolete: 'deny', elevateprivileges: 'deny', spawn: 'deny', resourcecontrol: 'deny' };

function identityOptions({ name, uuid, onReboot }: DomainDefinition): string[] {
  return [
    ...['-name', keyValues('', { guest: name, 'debug-threads': true })],
    ...['-uuid', uuid],
    ...['-nodefaults', '-no-user-config', '-S'],
    ...['-display', 'none'],
    ...['-sandbox', keyValues('on', sandbox)],
    ...['-msg', 'timestamp=on'],
    ...['-action', keyValues('', { reboot: onReboot === 'restart' ? 'reset' : 'shutdown', shutdown: 'pause', panic: 'pause' })],
  ];
}

function monitorOptions({ monitors, runtimeDir }: CommandLineOptions): string[] {
  return (['source', 'destination'] as const).flatMap((agent) => {
    const path = monitors[agent];
    if (!path.startsWith(`${runtimeDir}/`))
      throw new VmferryError('internal', `The monitor ${path} is not in the runtime folder ${runtimeDir}.`);
    const id = `monitor-${agent}`;
    const socket = keyValues('socket', { id, path, server: true, wait: false });
    return ['-chardev', socket, '-mon', keyValues('', { chardev: id, mode: 'control' })];
  });
}

/** Controllers first, for others stand on their buses; else in the order of the definition, kind by kind. */
function deviceOptions(definition: DomainDefinition, { serialOverrides = {}, spiceTlsDir }: CommandLineOptions): string[] {
  const { devices } = definition;
  const boot = bootOrder(definition);
  const graphics = devices.filter((device) => device.t === 'graphics');
  if (graphics.length > 1) throw unsupported('More than one <graphics>', 'one is shown to one client; keep one');
  return [
    ...controllersOf(definition).flatMap((controller) => controllerOptions(controller, definition)),
    ...devices.filter((device) => device.t === 'disk').flatMap((disk) => diskOptions(disk, boot.get(disk), definition)),
    ...devices
      .filter((device) => device.t === 'interface')
      .flatMap((device, index) => interfaceOptions(device, index, boot.get(device), definition)),
    ...serialPortsOf(definition).flatMap(({ port, backend }) => serialOptions(port, serialOverrides[port] ?? backend)),
    ...graphics.flatMap((device) => graphicsOptions(device, spiceTlsDir)),
    ...videoOptions(
      devices.filter((device) => device.t === 'video'),
      definition,
    ),
    ...inputOptions(
      devices.filter((device) => device.t === 'input'),
      definition,
    ),
    ...devices.filter((device) => device.t === 'memballoon').flatMap((balloon) => memballoonOptions(balloon, definition)),
    ...devices.filter((device) => device.t === 'rng').flatMap((rng, index) => rngOptions(rng, index, definition)),
  ];
}

/** Those that others are plugged into come first, whatever the order in the definition: libvirt has them behind what is on them. */
function controllersOf({ devices }: DomainDefinition) {
  const controllers = devices.filter((device) => device.t === 'controller');
  const isBus = ({ type }: (typeof controllers)[number]) => type === 'pci';
  return [...controllers.filter(isBus).sort((a, b) => a.index - b.index), ...controllers.filter((each) => !isBus(each))];
}
