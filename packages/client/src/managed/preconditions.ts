import { features, isTcp, type VersionReply } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { negotiate, type Protocol, wantsTls } from '@vmferry/migration';

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

/** The features of one side, and its name for what is wrong with them. */
export type SideFeatures = Pick<VersionReply, 'hostName' | 'features'>;

/** How a migration's memory is to go. */
export interface WayOfStream {
  readonly flags: readonly string[];
  readonly uri?: string | undefined;
}

/** The relays of a tunnel both have certificates, or neither has. Throws `tls-unavailable`. */
export function checkTunnel({ flags }: WayOfStream, source: SideFeatures, destination: SideFeatures): void {
  const [secure, plain] = has(source, features.tunnelTls) ? [source, destination] : [destination, source];
  if (!flags.includes('TUNNELLED') || has(secure, features.tunnelTls) === has(plain, features.tunnelTls)) return;
  const detail = `The relay of ${secure.hostName} speaks TLS alone, and that of ${plain.hostName} has no certificate; give it one with --tls-cert.`;
  throw new VmferryError('tls-unavailable', detail);
}

/** What both hosts say of themselves lets the stream go that way. Throws `tls-unavailable`, `insecure-refused`, `invalid-argument`. */
export function checkWay(way: WayOfStream, source: SideFeatures, destination: SideFeatures): void {
  checkTunnel(way, source, destination);
  const lacking = wantsTls(way.flags) ? [source, destination].find((side) => !has(side, features.tls)) : undefined;
  if (lacking !== undefined)
    throw new VmferryError('tls-unavailable', `The QEMUs of ${lacking.hostName} have no certificates; see --migrate-tls-dir.`);
  if (!isTcp(way.uri ?? '')) return;
  const { hostName } = destination;
  if (!has(destination, features.tcp))
    throw new VmferryError(
      'invalid-argument',
      `No QEMU of ${hostName} listens, so leave the tcp: URI out; see --migration-ports.`,
    );
  if (wantsTls(way.flags) || has(destination, features.tcpInsecure)) return;
  throw new VmferryError('insecure-refused', `${hostName} permits a tcp: URI only with the flag TLS.`);
}

const has = (side: SideFeatures, feature: string): boolean => side.features.includes(feature);
