import { element, type XmlElement } from '@vmferry/xml';
import type { DomainDefinition } from './definition.js';
import { withAttribute, withChild, withDevices } from './edit.js';
import { domainName } from './fields.js';
import { readDomain } from './parse.js';
import { graphicsOf } from './questions.js';

/** The same domain under another name, as a migration may ask for. */
export function renameDomain(definition: DomainDefinition, name: string): DomainDefinition {
  const checked = domainName('The new name', name);
  return readDomain(withChild(definition.xml, 'name', () => element('name', {}, [checked])));
}

/**
 * The definition with an alias of a machine (`q35`) replaced by the versioned name that it stands for on this host
 * (`pc-q35-7.2`), so that a later QEMU gives the guest the same machine. A name that is no alias stays.
 */
export function resolveMachine(definition: DomainDefinition, aliases: Readonly<Record<string, string>>): DomainDefinition {
  const { machine } = definition.os;
  const versioned = Object.hasOwn(aliases, machine) ? aliases[machine] : undefined;
  if (versioned === undefined) return definition;
  const xml = withChild(definition.xml, 'os', (os) => withChild(os, 'type', (type) => withAttribute(type, 'machine', versioned)));
  return readDomain(xml);
}

/** The definition with the ports that this host has chosen for its display (autoport); -1 is none. */
export function placeDisplay(
  definition: DomainDefinition,
  { port, tlsPort }: { readonly port: number; readonly tlsPort: number },
): DomainDefinition {
  const graphics = graphicsOf(definition);
  if (graphics?.autoport !== true) return definition;
  const attributes = { port, ...(graphics.type === 'spice' ? { tlsPort } : {}), autoport: 'yes' };
  const placed = (device: XmlElement) =>
    Object.entries(attributes).reduce((of, [name, value]) => withAttribute(of, name, String(value)), device);
  return readDomain(
    withDevices(definition.xml, (device, position) => (position === graphics.position ? placed(device) : device)),
  );
}

/** Without the ports that some host has chosen, as a definition is kept and as another host is to read it. */
export function unplaceDisplay(definition: DomainDefinition): DomainDefinition {
  const { port = -1, tlsPort = -1 } = graphicsOf(definition) ?? {};
  return port === -1 && tlsPort === -1 ? definition : placeDisplay(definition, { port: -1, tlsPort: -1 });
}
