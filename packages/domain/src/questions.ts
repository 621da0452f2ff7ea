import { VmferryError } from '@vmferry/errors';
import type { DomainDefinition } from './definition.js';
import type { CharacterBackend, GraphicsDevice } from './devices.js';

/** The graphics device when there is exactly one, of type vnc or spice (S36). */
export function graphicsOf({ devices }: DomainDefinition): GraphicsDevice | undefined {
  const isGraphics = devices.filter(
    (device) => device.t === 'graphics' || (device.t === 'unsupported' && device.element === 'graphics'),
  );
  const [first, second] = isGraphics;
  return first?.t === 'graphics' && second === undefined ? first : undefined;
}

/** Where a display listens that names no address. */
const displayListenDefault = '127.0.0.1';

export function displayListenOf({ listen = displayListenDefault }: GraphicsDevice): string {
  return listen;
}

/** The serial ports in the order of their numbers. Without a `<serial>`, a `<console>` is one: it was written for that port. */
export function serialPortsOf({ devices }: DomainDefinition): { readonly port: number; readonly backend: CharacterBackend }[] {
  const serials = devices.filter((device) => device.t === 'serial');
  const ports = serials.length > 0 ? serials : devices.filter((device) => device.t === 'console');
  return ports.map(({ port, backend }) => ({ port, backend })).sort((a, b) => a.port - b.port);
}

/** Refuses with `device-unsupported`, naming every element, a definition that cannot be started as it is written. */
export function checkSupported({ name, devices, unsupported }: DomainDefinition): void {
  const faults = [
    ...devices
      .filter((device) => device.t === 'unsupported')
      .map(({ element, what }) => (what === undefined ? `<${element}>` : `<${element}> with ${what}`)),
    ...unsupported,
  ];
  if (faults.length === 0) return;
  const detail = `The domain ${name} uses what is not supported: ${faults.join('; ')}. Remove it from the definition to start the domain.`;
  throw new VmferryError('device-unsupported', detail, { data: { unsupported: faults } });
}
