import { isDeepStrictEqual } from 'node:util';
import { VmferryError } from '@vmferry/errors';
import { formatXml } from '@vmferry/xml';
import type { DomainDefinition } from './definition.js';
import { withDevices, withoutAttributes } from './edit.js';
import { readDomain } from './parse.js';

/**
 * The definition's document, with every element that is not understood in its place. Throws `internal` for a definition whose
 * fields were changed beside its document: they would be lost without a word.
 */
export function formatDomain(definition: DomainDefinition): string {
  if (!isDeepStrictEqual(readDomain(definition.xml), definition)) {
    throw new VmferryError('internal', `The definition of ${definition.name} was changed beside its document.`);
  }
  return formatXml(definition.xml);
}

/** The same for whoever may only look: the passwords of its displays are left out, as libvirt leaves them out without its SECURE flag. */
export function formatForReaders(definition: DomainDefinition): string {
  const secrets = ['passwd', 'passwdValidTo'];
  return formatXml(
    withDevices(definition.xml, (device) => (device.name === 'graphics' ? withoutAttributes(device, secrets) : device)),
  );
}
