import { VmferryError } from '@vmferry/errors';
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
