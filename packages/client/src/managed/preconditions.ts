import type { VersionReply } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { negotiate, type Protocol } from '@vmferry/migration';

/** The flag that makes Begin hold the migration job until Confirm; it is the source's alone (S1). */
const changeProtection = 'CHANGE_PROTECTION';

/** What the two sides of a migration say of themselves that decides whether they can be that. */
export type SideVersion = Pick<VersionReply, 'app' | 'hostName' | 'hostUuid' | 'storeId' | 'protocols'>;

/**
 * Refuses, before any side effect, agents that cannot be the two sides of one migration, and says which protocol it is of (S42). Whoever
 * drives it, the same mistake has the same code. Throws `same-host` (S46), `peer-protocol`.
 */
export function checkSides(source: SideVersion, destination: SideVersion): Protocol {
  if (isSameHost(source, destination)) {
    const detail = `Source and destination are the same host, ${destination.hostName}; give the URL of another host's destination-agent.`;
    throw new VmferryError('same-host', detail);
  }
  checkApp('source', source, 'source-agent');
  checkApp('destination', destination, 'destination-agent');
  const protocol = negotiate(source.protocols, destination.protocols);
  if (protocol !== null) return protocol;
  const spoken = ({ hostName, protocols }: SideVersion) => `${hostName} speaks ${protocols.join(', ') || 'no protocol'}`;
  const detail = `There is no protocol for this migration: ${spoken(source)}, and ${spoken(destination)}.`;
  throw new VmferryError('peer-protocol', detail);
}

function isSameHost(a: SideVersion, b: SideVersion): boolean {
  return a.hostName.toLowerCase() === b.hostName.toLowerCase() || a.hostUuid === b.hostUuid || a.storeId === b.storeId;
}

function checkApp(side: 'source' | 'destination', { app, hostName }: SideVersion, expected: VersionReply['app']): void {
  if (app === expected) return;
  throw new VmferryError('peer-protocol', `The ${side} given is the ${app} of ${hostName}; give the URL of its ${expected}.`);
}

/** S1: protection is asked for whenever the source offers it. */
export function sourceFlags(asked: readonly string[], source: VersionReply): string[] {
  if (!source.features.includes('change-protection') || asked.includes(changeProtection)) return [...asked];
  return [...asked, changeProtection];
}

/** S1: the destination never sees the flag. */
export const destinationFlags = (flags: readonly string[]): string[] => flags.filter((flag) => flag !== changeProtection);
