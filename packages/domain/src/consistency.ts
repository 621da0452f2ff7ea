import type { DomainDefinition } from './definition.js';
import type { Device, DiskDevice } from './devices.js';
import { invalid } from './fields.js';
import { machineFamily } from './machine.js';
import { serialPortsMax } from './read-characters.js';
import { driveAddressOf } from './read-disk.js';

/** What a device needs from others: a device that cannot be attached is unsupported, and says why. */
export function refine(devices: readonly Device[], machine: string): Device[] {
  const hasUsb = devices.some((device) => device.t === 'controller' && device.type === 'usb' && device.model !== 'none');
  return devices.map((device) => {
    const what = missingController(device, machine, hasUsb);
    return what === undefined ? device : { t: 'unsupported', position: device.position, element: device.t, what };
  });
}

function missingController(device: Device, machine: string, hasUsb: boolean): string | undefined {
  if (device.t === 'input' && device.bus === 'usb' && !hasUsb) return 'bus="usb" without a usb controller of the model qemu-xhci';
  const sata = (device.t === 'disk' && device.bus === 'sata') || (device.t === 'controller' && device.type === 'sata');
  if (sata && machineFamily(machine) !== 'q35') return 'sata on a machine other than q35';
  return undefined;
}

/** What must differ between devices, as QEMU would find out only when it starts. */
export function checkConsistency({ devices }: DomainDefinition): void {
  const disks = devices.filter((device) => device.t === 'disk');
  refuseRepeated(
    '<disk><target dev>',
    disks.map(({ targetDev }) => targetDev),
  );
  refuseRepeated('The place on the ide or sata controller', disks.filter(({ bus }) => bus !== 'virtio').map(drivePort));
  refuseRepeated(
    '<disk><serial>',
    disks.flatMap(({ serial }) => serial ?? []),
  );
  refuseRepeated(
    '<boot order>',
    devices.flatMap((device) => ('bootOrder' in device ? (device.bootOrder ?? []) : [])),
  );
  for (const t of ['serial', 'console'] as const) {
    const ports = devices.flatMap((device) => (device.t === t ? device.port : []));
    refuseRepeated(`<${t}><target port>`, ports);
    if (ports.some((port) => port >= serialPortsMax)) throw invalid(`<${t}>`, `occurs more than ${serialPortsMax} times`);
  }
  const controllers = devices.filter((device) => device.t === 'controller');
  refuseRepeated(
    '<controller index>',
    controllers.map(({ type, index }) => `${type} ${index}`),
  );
  if (devices.filter(({ t }) => t === 'memballoon').length > 1) throw invalid('<memballoon>', 'occurs more than once');
}

/** ide and sata disks share the ports of the AHCI controller. */
function drivePort(disk: DiskDevice): number {
  const { bus, unit } = driveAddressOf(disk);
  const port = bus * 2 + unit;
  const portMax = disk.bus === 'ide' ? 3 : 5;
  if (port > portMax) throw invalid(`<disk><target dev='${disk.targetDev}'>`, `has no place: ${disk.bus} has ${portMax + 1}`);
  return port;
}

function refuseRepeated(where: string, values: readonly (string | number)[]): void {
  const repeated = values.find((value, index) => values.indexOf(value) !== index);
  if (repeated !== undefined) throw invalid(where, `${repeated} is used more than once`);
}
