import { VmferryError } from '@vmferry/errors';
import { element, formatXml, parseXml, type XmlElement } from '@vmferry/xml';
import { type CookieField, checkField, checkPort, malformed } from './fields.js';
import type { CookieGraphics, CookieLockState, CookieOfVmferry, MigrationCookie } from './model.js';
import { toWire } from './wire.js';

/**
 * The cookie as it goes over the wire: XML in libvirt's form and order, and a NUL. Everything is escaped (A14). Throws
 * `cookie-malformed` for a value that no reader would take, `cookie-too-large` over 16,384 bytes.
 */
export function encodeCookie(cookie: MigrationCookie): Uint8Array {
  const root = element('qemu-migration', {}, [
    text('name', 'name', cookie.name),
    text('uuid', 'uuid', cookie.uuid),
    text('hostname', 'hostName', cookie.hostName),
    text('hostuuid', 'hostUuid', cookie.hostUuid),
    ...cookie.features.map((name) => element('feature', { name })),
    ...optional(cookie.graphics, graphicsElement),
    ...optional(cookie.lockState, lockStateElement),
    ...optional(cookie.persistentXml, persistentElement),
    ...optional(cookie.vmferry, vmferryElement),
  ]);
  try {
    return toWire(formatXml(root));
  } catch (error) {
    if (VmferryError.is(error, 'xml-malformed')) throw malformed(error.message.replace(/\.$/, ''), error);
    throw error;
  }
}

function graphicsElement(graphics: CookieGraphics): XmlElement {
  const { type, port, tlsPort, listen, certSubject } = graphics;
  const attributes = {
    type,
    port: String(checkPort('graphics port', String(port))),
    listen: checkField('graphics listen', listen),
    ...(type === 'spice' ? { tlsPort: String(checkPort('graphics tlsPort', String(tlsPort))) } : {}),
  };
  const cert = optional(certSubject, (value) => element('cert', { info: 'subject', value: checkField('graphics cert', value) }));
  return element('graphics', attributes, cert);
}

function lockStateElement({ driver, leases }: CookieLockState): XmlElement {
  const held = optional(leases, (value) => text('leases', 'lockstate leases', value));
  return element('lockstate', { driver: checkField('lockstate driver', driver) }, held);
}

function persistentElement(xml: string): XmlElement {
  const root = parseXml(xml);
  if (root.name !== 'domain') throw malformed('its persistent configuration is not a <domain>');
  return root;
}

function vmferryElement(own: CookieOfVmferry): XmlElement {
  const migration = {
    id: checkField('vmferry migration id', own.migrationId),
    nonce: checkField('vmferry migration nonce', own.nonce),
    ...(own.offline === undefined ? {} : { offline: 'yes' }),
  };
  return element('vmferry', { version: '1' }, [
    element('migration', migration),
    ...optional(own.permitDigest, (value) => text('permitDigest', 'vmferry permitDigest', value)),
    ...optional(own.permit, (value) => text('permit', 'vmferry permit', value)),
    ...optional(own.peer, ({ role, url, storeId }) =>
      element('peer', {
        role,
        url: checkField('vmferry peer url', url),
        storeId: checkField('vmferry peer storeId', storeId),
      }),
    ),
    ...optional(own.stream, ({ url, ticket, channels }) =>
      element('stream', {
        url: checkField('vmferry stream url', url),
        ...(ticket === null ? {} : { ticket: checkField('vmferry stream ticket', ticket) }),
        ...(channels === undefined ? {} : { channels: checkField('vmferry stream channels', String(channels)) }),
      }),
    ),
    ...optional(own.leases, (value) => text('leases', 'vmferry leases', value)),
  ]);
}

function text(name: string, field: CookieField, value: string): XmlElement {
  return element(name, {}, [checkField(field, value)]);
}

function optional<T>(value: T | undefined, write: (value: T) => XmlElement): XmlElement[] {
  return value === undefined ? [] : [write(value)];
}
