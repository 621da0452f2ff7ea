import type { VersionReply } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { negotiate, type Protocol } from '@vmferry/migration';

/** The flag that makes Begin hold the migration job until Confirm; it is the source's alone (S1). */
const changeProtection = 'CHANGE_PROTECTION';

/** Refuses, before any side effect, agents that cannot be the two sides of one migration, and says which protocol it is of (S42). */
export function checkSides(source: VersionReply, destination: VersionReply): Protocol {
  checkSide(source, 'source-agent');
  checkSide(destination, 'destination-agent');
  const isSame = source.hostName === destination.hostName || source.hostUuid === destination.hostUuid;
  if (!isSame) return protocolOf(source, destination);
  const detail = `Source and destination are the same host (${destination.hostName}, ${destination.hostUuid}); give the destination-agent of another one.`;
  throw new VmferryError('same-host', detail, { side: 'client' });
}

function protocolOf(source: VersionReply, destination: VersionReply): Protocol {
  const protocol = negotiate(source.protocols, destination.protocols);
  if (protocol !== null) return protocol;
  const spoken = ({ hostName, protocols }: VersionReply) => `${hostName} speaks ${protocols.join(', ') || 'no protocol'}`;
  throw new VmferryError(
    'peer-protocol',
    `There is no protocol for this migration: ${spoken(source)}, and ${spoken(destination)}.`,
    {
      side: 'client',
    },
  );
}

function checkSide({ app, hostName }: VersionReply, expected: 'source-agent' | 'destination-agent'): void {
  const side = expected === 'source-agent' ? 'source' : 'destination';
  if (app !== expected) {
    throw new VmferryError(
      'invalid-argument',
      `The ${side} given is a ${app} of host ${hostName}; give the URL of its ${expected}.`,
      { side },
    );
  }
}

/** S1: protection is asked for whenever the source offers it. */
export function sourceFlags(asked: readonly string[], source: VersionReply): string[] {
  if (!source.features.includes('change-protection') || asked.includes(changeProtection)) return [...asked];
  return [...asked, changeProtection];
}

/** S1: the destination never sees the flag. */
export const destinationFlags = (flags: readonly string[]): string[] => flags.filter((flag) => flag !== changeProtection);
