import { VmferryError } from '@vmferry/errors';
import { attribute, textOf, type XmlElement } from '@vmferry/xml';
import { type CookieField, checkField, malformed } from './fields.js';
import type { CookieOfVmferry, CookiePeer, CookieStream } from './model.js';
import { onlyChild } from './only-child.js';

/** Reads vmferry's own element, and checks that it belongs to the expected migration by id and nonce. */
export function decodeVmferry(
  root: XmlElement,
  expected?: { readonly id: string; readonly nonce: string },
): CookieOfVmferry | undefined {
  const own = onlyChild(root, 'vmferry');
  if (own === undefined) {
    if (expected === undefined) return undefined;
    throw malformed('it has no <vmferry>, and so belongs to no migration of vmferry');
  }
  checkField('vmferry version', attribute(own, 'version'));
  const migration = onlyChild(own, 'migration');
  if (migration === undefined) throw malformed('its vmferry migration is missing');
  const migrationId = checkField('vmferry migration id', attribute(migration, 'id'));
  const nonce = checkField('vmferry migration nonce', attribute(migration, 'nonce'));
  if (expected !== undefined && (migrationId !== expected.id || nonce !== expected.nonce)) {
    const other = migrationId === expected.id ? 'another attempt at this migration' : `the migration "${migrationId}"`;
    throw new VmferryError('cookie-mismatch', `The migration cookie belongs to ${other}, not to "${expected.id}".`);
  }
  const offline = attribute(migration, 'offline');
  if (offline !== undefined && offline !== 'yes') throw malformed('its vmferry migration offline is not valid');
  return { migrationId, nonce, ...(offline === undefined ? {} : { offline: true }), ...readRest(own) };
}

function readRest(own: XmlElement): Omit<CookieOfVmferry, 'migrationId' | 'nonce'> {
  const permitDigest = readText(own, 'permitDigest', 'vmferry permitDigest');
  const permit = readText(own, 'permit', 'vmferry permit');
  const peer = readPeer(own);
  const stream = readStream(own);
  const leases = readText(own, 'leases', 'vmferry leases');
  return {
    ...(permitDigest === undefined ? {} : { permitDigest }),
    ...(permit === undefined ? {} : { permit }),
    ...(peer === undefined ? {} : { peer }),
    ...(stream === undefined ? {} : { stream }),
    ...(leases === undefined ? {} : { leases }),
  };
}

function readText(own: XmlElement, name: string, field: CookieField): string | undefined {
  const found = onlyChild(own, name);
  return found === undefined ? undefined : checkField(field, textOf(found));
}

function readPeer(own: XmlElement): CookiePeer | undefined {
  const peer = onlyChild(own, 'peer');
  if (peer === undefined) return undefined;
  const role = attribute(peer, 'role');
  if (role !== 'source' && role !== 'destination') throw malformed('its vmferry peer role is not known');
  const url = checkField('vmferry peer url', attribute(peer, 'url'));
  return { role, url, storeId: checkField('vmferry peer storeId', attribute(peer, 'storeId')) };
}

function readStream(own: XmlElement): CookieStream | undefined {
  const stream = onlyChild(own, 'stream');
  if (stream === undefined) return undefined;
  const url = checkField('vmferry stream url', attribute(stream, 'url'));
  const ticket = attribute(stream, 'ticket');
  const channels = attribute(stream, 'channels');
  return {
    url,
    ticket: url.startsWith('tcp:') && ticket === undefined ? null : checkField('vmferry stream ticket', ticket),
    ...(channels === undefined ? {} : { channels: Number(checkField('vmferry stream channels', channels)) }),
  };
}
