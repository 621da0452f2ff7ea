import { VmferryError } from '@vmferry/errors';
import type { Arrival } from '@vmferry/host-state';
import type { SourceContext } from '../context.js';
import type { Domain } from './domain.js';

export type ArrivalPorts = Pick<SourceContext, 'guestHost' | 'arrivals' | 'incomingRecord' | 'configs'>;

/**
 * A guest of this uuid that is coming in here, or waits to be taken over, is not to be started beside; nor a definition. One that has arrived offline
 * is known from now on, also when its notice is still on its way. Throws `in-doubt`.
 */
export async function refuseIncoming(
  { guestHost, arrivals, incomingRecord, configs }: ArrivalPorts,
  domain: Domain,
): Promise<void> {
  const { uuid, name } = domain;
  const status = await guestHost.statuses.read(uuid);
  const arrival = await arrivals.read(uuid);
  const record = arrival === null ? null : await incomingRecord(arrival);
  if (status === null && record?.decision !== 'open' && record?.decision !== 'committing') {
    const arrived = record?.offline === true && record.decision === 'committed' ? await configs.read(uuid) : null;
    if (arrived === null) return;
    // A transient domain that is just being made of the same uuid is another one.
    if (domain.config !== null) return domain.setConfig(arrived);
  }
  const migrationId = status?.migration?.id ?? arrival?.id ?? 'unknown';
  const detail = `The domain ${name} takes part in migration ${migrationId} on this host; see what it says.`;
  throw new VmferryError('in-doubt', detail, { data: { migrationId } });
}

/**
 * A name belongs to the domain that is coming in under it from its note of arrival on, and so does a uuid under which a definition comes in. Throws
 * `in-doubt`, and `state-unreadable` for a uuid whose record waits to be mended.
 */
export async function refuseArriving(
  { arrivals, incomingRecord }: ArrivalPorts,
  { name, uuid }: { readonly name: string; readonly uuid: string },
): Promise<void> {
  for (const { name: arriving, value: key } of await arrivals.list()) {
    const isSame = arriving === uuid;
    const record = isSame ? await incomingRecord(key) : await knownRecord(incomingRecord, key);
    const isOpen = record?.decision === 'open' || record?.decision === 'committing';
    const takes = isSame ? record?.offline === true && isOpen : record?.name === name && record.decision !== 'aborted';
    if (!takes) continue;
    const detail = `The domain ${record?.name} (${arriving}) is coming in to this host by migration ${key.id}; choose another name and uuid, or wait for its end.`;
    throw new VmferryError('in-doubt', detail, { data: { migrationId: key.id } });
  }
}

/**
 * The configuration of a domain as this agent may know it: what a migration has written that is not committed may be put back by its
 * destination-agent. Null when there was none before. `arrival` is the note of that migration.
 */
export async function ownConfig(
  { incomingRecord }: ArrivalPorts,
  config: string,
  arrival: Arrival | undefined,
): Promise<string | null> {
  const record = arrival === undefined ? null : await knownRecord(incomingRecord, arrival);
  if (record === null || record.configBefore === null || record.decision === 'committed' || record.decision === 'unknown')
    return config;
  return record.configBefore.xml;
}

/** Null too for a record that waits to be mended: until then nothing is started of its domain, and of another it says nothing. */
async function knownRecord(incomingRecord: ArrivalPorts['incomingRecord'], key: Arrival): ReturnType<typeof incomingRecord> {
  try {
    return await incomingRecord(key);
  } catch (thrown) {
    if (VmferryError.is(thrown, 'state-unreadable')) return null;
    throw thrown;
  }
}
