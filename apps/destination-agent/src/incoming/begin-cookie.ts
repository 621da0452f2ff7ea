import { agentUrl } from '@vmferry/api';
import { cookieFromBase64, decodeCookie } from '@vmferry/cookie';
import { VmferryError } from '@vmferry/errors';
import { decodeLockState, encodeLockState } from '@vmferry/locking';
import { type Binding, type MigrationKey, refuseOtherThanBegun } from '@vmferry/migration';
import type { DestinationContext } from '../context.js';

/**
 * What Begin's cookie says of the source, checked in full: it is for this domain and this migration, from another host, with the same lock
 * driver. v3's Prepare brings it, in v2 the source agent does.
 */
export function readBeginCookie(
  { host, locks }: DestinationContext,
  migration: MigrationKey,
  domain: { readonly name: string; readonly uuid: string },
  base64: string,
  offline = false,
): Omit<Binding, 'mode'> {
  const cookie = decodeCookie(cookieFromBase64(base64), {
    name: domain.name,
    uuid: domain.uuid,
    localHostName: host.hostName,
    localHostUuid: host.hostUuid,
    lockDriver: { name: locks.name, usesState: locks.usesState },
    migration,
  });
  const { permitDigest, peer } = cookie.vmferry ?? {};
  if (permitDigest === undefined || peer === undefined || peer.role !== 'source') {
    throw new VmferryError('cookie-malformed', 'The cookie of Begin names no permit digest or no source agent.');
  }
  refuseOtherThanBegun(migration.id, 'prepare', { begun: cookie.vmferry?.offline === true, taken: offline });
  if (!agentUrl.safeParse(peer.url).success) {
    const detail = `The source agent calls itself ${peer.url}, which no other host can ask; give it its --public-url.`;
    throw new VmferryError('cookie-malformed', detail);
  }
  const leases = cookie.lockState?.leases;
  return {
    permitDigest,
    source: { url: peer.url, storeId: peer.storeId, hostName: cookie.hostName, hostUuid: cookie.hostUuid },
    lease: leases === undefined ? null : encodeLockState(decodeLockState(leases, locks.name)),
  };
}
