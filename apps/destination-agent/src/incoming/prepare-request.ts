import type { PrepareRequest } from '@vmferry/api';
import { cookieFromBase64, decodeCookie, type MigrationCookie } from '@vmferry/cookie';
import {
  assignAddresses,
  checkSupported,
  type DomainDefinition,
  parseDomain,
  renameDomain,
  resolveMachine,
} from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { decodeLockState, type LockState } from '@vmferry/locking';
import { keyName, type MigrationFlags, type MigrationKey, parseFlags } from '@vmferry/migration';
import type { DestinationContext } from '../context.js';

/** A Prepare whose every part was read and accepted; nothing has happened yet. */
export interface AcceptedPrepare {
  readonly key: MigrationKey;
  readonly flags: MigrationFlags;
  readonly definition: DomainDefinition;
  readonly sourceName: string;
  readonly cookie: MigrationCookie;
  readonly permitDigest: string;
  readonly source: { readonly url: string; readonly storeId: string };
  readonly offeredLease: LockState | null;
  readonly session: string | null;
}

/** Reads and checks a Prepare in full, before any side effect. Throws what is wrong with it, by its own code. */
export async function acceptPrepare(
  context: DestinationContext,
  id: string,
  body: PrepareRequest,
  transport: 'direct' | 'tunnelled',
): Promise<AcceptedPrepare> {
  const key = { id, nonce: body.nonce };
  const flags = readFlags(context, body, transport);
  if (body.session !== undefined) context.sessions.require(body.session);
  const original = parseDomain(body.xml);
  const cookie = readCookie(context, key, body, original);
  const definition = await readDefinition(context, body, original);
  await refuseDuplicate(context, key, definition);
  return { key, flags, definition, sourceName: original.name, ...cookie, session: body.session ?? null };
}

export function readFlags(context: DestinationContext, body: PrepareRequest, transport: 'direct' | 'tunnelled'): MigrationFlags {
  const flags = parseFlags(body.flags ?? []);
  checkTransport(context, flags, transport);
  return flags;
}

export function readCookie(
  { host, locks }: DestinationContext,
  key: MigrationKey,
  body: PrepareRequest,
  { name, uuid }: DomainDefinition,
): Pick<AcceptedPrepare, 'cookie' | 'permitDigest' | 'source' | 'offeredLease'> {
  const cookie = decodeCookie(cookieFromBase64(body.cookie), {
    name,
    uuid,
    localHostName: host.hostName,
    localHostUuid: host.hostUuid,
    lockDriver: { name: locks.name, usesState: locks.usesState },
    migration: key,
  });
  const { permitDigest, peer } = cookie.vmferry ?? {};
  if (permitDigest === undefined || peer === undefined || peer.role !== 'source') {
    throw new VmferryError(
      'cookie-malformed',
      'The cookie of Begin names no permit digest or no source agent; this Prepare is not of protocol v3.',
    );
  }
  return {
    cookie,
    permitDigest,
    source: { url: peer.url, storeId: peer.storeId },
    offeredLease: cookie.lockState?.leases === undefined ? null : decodeLockState(cookie.lockState.leases, locks.name),
  };
}

/** The definition as it would run here: renamed, on a machine that this QEMU has, each device in its place. */
export async function readDefinition(
  context: DestinationContext,
  body: PrepareRequest,
  original: DomainDefinition,
): Promise<DomainDefinition> {
  const renamed = body.destinationName === undefined ? original : renameDomain(original, body.destinationName);
  checkSupported(renamed);
  const capabilities = await context.guestHost.capabilities(renamed);
  return assignAddresses(resolveMachine(renamed, capabilities.machineAliases));
}

function checkTransport({ relay, host }: DestinationContext, flags: MigrationFlags, transport: 'direct' | 'tunnelled'): void {
  if (flags.has('TUNNELLED') !== (transport === 'tunnelled')) {
    throw new VmferryError(
      'invalid-argument',
      `A ${transport} migration is prepared ${transport === 'direct' ? 'without' : 'with'} the flag TUNNELLED.`,
    );
  }
  if (transport === 'tunnelled' && relay === null) {
    throw new VmferryError('invalid-argument', `The host ${host.hostName} has no tunnel relay; migrate directly.`);
  }
}

/** A domain of this name or uuid that is active here, or whose migration is not decided, is in the way. */
export async function refuseDuplicate(
  context: DestinationContext,
  key: MigrationKey,
  definition: DomainDefinition,
): Promise<void> {
  for (const { value: status } of await context.guestHost.statuses.list()) {
    if (status.uuid !== definition.uuid && status.name !== definition.name) continue;
    const same = `${status.name} (${status.uuid})`;
    if (status.migration !== null && status.migration.nonce !== key.nonce) {
      const journal = await context.journals.read(keyName(status.migration));
      if (status.owner === 'destination' && journal?.record.decision === 'committed') {
        throw new VmferryError(
          'handover-pending',
          `The domain ${same} has just arrived on ${context.host.hostName} and is being taken over; try again.`,
        );
      }
      throw new VmferryError(
        'in-doubt',
        `The domain ${same} takes part in migration ${status.migration.id} on ${context.host.hostName}, which is not decided yet.`,
        {
          data: { migrationId: status.migration.id },
        },
      );
    }
    throw new VmferryError('domain-exists', `The domain ${same} is active on ${context.host.hostName} already.`);
  }
  for (const { value: xml } of await context.configs.list()) {
    const config = parseDomain(xml);
    if (config.name === definition.name && config.uuid !== definition.uuid) {
      throw new VmferryError(
        'domain-exists',
        `The name ${config.name} belongs to domain ${config.uuid} on ${context.host.hostName}.`,
      );
    }
  }
}
