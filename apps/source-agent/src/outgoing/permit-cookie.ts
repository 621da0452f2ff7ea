import { cookieToBase64, encodeCookie } from '@vmferry/cookie';
import type { HostIdentity } from '@vmferry/host-state';
import type { OutgoingJournal } from './outgoing-journal.js';

/** Perform's cookie out, and Finish's in: who the guest is, and the permit (handover rule 1). Only for a permit that is journalled. */
export function permitCookie({ hostName, hostUuid }: HostIdentity, { domain, machine }: OutgoingJournal): string {
  const { key, permit } = machine;
  const vmferry = { migrationId: key.id, nonce: key.nonce, permit };
  return cookieToBase64(encodeCookie({ name: domain.name, uuid: domain.uuid, hostName, hostUuid, features: [], vmferry }));
}
