import { element } from '@vmferry/xml';
import type { DomainDefinition } from './definition.js';
import { withAttribute, withChild } from './edit.js';
import { domainName } from './fields.js';
import { readDomain } from './parse.js';

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
