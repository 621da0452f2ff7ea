import type { VersionReply } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';

/** The flag that makes Begin hold the migration job until Confirm; it is the source's alone (S1). */
const changeProtection = 'CHANGE_PROTECTION';

/** Refuses, before any side effect, agents that cannot be the two sides of one migration. */
export function checkSides(source: VersionReply, destination: VersionReply): void {
  checkSide(source, 'source-agent');
  checkSide(destination, 'destination-agent');
  if (source.hostName !== destination.hostName && source.hostUuid !== destination.hostUuid) return;
  const detail = `Source and destination are the same host (${destination.hostName}, ${destination.hostUuid}); give the destination-agent of another one.`;
  throw new VmferryError('same-host', detail, { side: 'client' });
}

function checkSide({ app, protocols, hostName }: VersionReply, expected: 'source-agent' | 'destination-agent'): void {
  const side = expected === 'source-agent' ? 'source' : 'destination';
  if (app !== expected) {
    throw new VmferryError(
      'invalid-argument',
      `The ${side} given is a ${app} of host ${hostName}; give the URL of its ${expected}.`,
      { side },
    );
  }
  if (!protocols.includes('v3')) {
    throw new VmferryError(
      'peer-protocol',
      `The ${expected} of host ${hostName} speaks ${protocols.join(', ') || 'no protocol'}, not v3.`,
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
