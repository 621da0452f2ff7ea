import { createHash } from 'node:crypto';
import { child, element, isElement, type XmlElement } from '@vmferry/xml';
import { withChildren, withDevices } from './edit.js';
import { textOfOnly } from './fields.js';

/**
 * Writes into the document what a guest must find unchanged after every start and migration and what its author may leave out:
 * the uuid and the MAC addresses. A MAC is derived from the uuid and the place of the interface, so that it needs no randomness.
 */
export function completeDocument(root: XmlElement, uuidIfMissing: string | undefined): XmlElement {
  const named = withUuid(root, uuidIfMissing);
  const uuid = textOfOnly(named, 'uuid')?.toLowerCase() ?? '';
  return withDevices(named, (device, position) => {
    if (device.name !== 'interface' || child(device, 'mac') !== undefined) return device;
    return withChildren(device, [element('mac', { address: derivedMac(uuid, position) }), ...device.children]);
  });
}

function withUuid(root: XmlElement, uuid: string | undefined): XmlElement {
  if (uuid === undefined || child(root, 'uuid') !== undefined) return root;
  const afterName = root.children.findIndex((node) => isElement(node) && node.name === 'name') + 1;
  return withChildren(root, root.children.toSpliced(afterName, 0, element('uuid', {}, [uuid])));
}

/** In the range of QEMU, 52:54:00. */
function derivedMac(uuid: string, position: number): string {
  const digest = createHash('sha256').update(`${uuid}/interface/${position}`).digest('hex');
  return `52:54:00:${digest.slice(0, 2)}:${digest.slice(2, 4)}:${digest.slice(4, 6)}`;
}
