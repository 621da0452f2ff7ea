import type { BeginRequest } from '@vmferry/api';
import { cookieToBase64, encodeCookie } from '@vmferry/cookie';
import { checkSupported, checkTargetDefinition, formatDomain, parseDomain, withoutConnections } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { resourcesOf } from '@vmferry/guest';
import { missingForMigration } from '@vmferry/hypervisor';
import { encodeLockState } from '@vmferry/locking';
import {
  checkParallel,
  checkTls,
  isOffline,
  isParallel,
  type MigrationFlags,
  type MigrationKey,
  type Permit,
  parseFlags,
  permitDigest,
  wantsTls,
} from '@vmferry/migration';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import { offlineChecks } from './offline-begin.js';

/** A Begin whose every part was read and accepted; nothing has happened yet. */
export interface AcceptedBegin {
  readonly domain: Domain;
  readonly flags: MigrationFlags;
  readonly targetXml: string;
  readonly destinationName: string;
  readonly running: boolean;
  /** The definition that a migration of it alone moves. */
  readonly config: string | null;
}

/** Reads and checks a Begin in full, before any side effect. */
export async function acceptBegin(context: SourceContext, domain: Domain, body: BeginRequest): Promise<AcceptedBegin> {
  for (const check of beginChecks(context, domain, body)) await check();
  return {
    domain,
    flags: flagsOf(domain, body),
    targetXml: targetXmlOf(domain, body.xml),
    destinationName: body.destinationName ?? domain.name,
    running: domain.state.state === 'running',
    config: domain.config,
  };
}

/** What has to hold before a Begin, each by itself: acting stops at the first that throws, a check is told of all. */
export function beginChecks(context: SourceContext, domain: Domain, body: BeginRequest): (() => unknown)[] {
  const flags = () => flagsOf(domain, body);
  if (isOffline(body.flags ?? [])) return [() => refuseMigrating(domain), ...offlineChecks(context, domain, { flags, body })];
  return [
    () => checkParallel(body.flags ?? [], body.parallelConnections),
    () => refuseUnmetWay(context, flags()),
    () => refuseInactive(domain),
    () => refuseMigrating(domain),
    () => domain.refuseUndecided(),
    () => refuseAutodestroy(domain),
    () => checkSupported(domain.definition),
    () => refuseWithoutMultifd(domain, body.flags ?? []),
  ];
}

/** A guest that was paused ends paused, whatever the flags (requirements, the outcome matrix). Offline none is let go at all. */
function flagsOf(domain: Domain, body: BeginRequest): MigrationFlags {
  const flags = new Set(parseFlags(body.flags ?? []));
  if (domain.state.state === 'paused' && !isOffline(flags)) flags.add('PAUSED');
  return flags;
}

/** TUNNELLED and TLS are at odds, so that what one of them needs never hides what the other does. */
async function refuseUnmetWay({ relay, host, migrateTls }: SourceContext, flags: MigrationFlags): Promise<void> {
  checkTls(flags);
  if (flags.has('TUNNELLED') && relay === null)
    throw new VmferryError('invalid-argument', `The host ${host.hostName} has no tunnel relay (--relay); migrate directly.`);
  if (wantsTls(flags)) await migrateTls.credentials('client');
}

/** The QEMU that runs is asked: it may be older than the emulator on this host is by now. */
async function refuseWithoutMultifd({ name, guest }: Domain, flags: readonly string[]): Promise<void> {
  if (!isParallel(flags) || guest === null) return;
  const missing = await missingForMigration(guest.qmp, { parallel: true });
  if (missing.length === 0) return;
  const detail = `The QEMU of domain ${name} has no ${missing.join(', ')}, which PARALLEL needs: leave PARALLEL out.`;
  throw new VmferryError('hypervisor-unsupported', detail, { data: { missing } });
}

function refuseInactive(domain: Domain): void {
  if (domain.guest === null && !domain.hasProcess && domain.config !== null) {
    const detail = `The domain ${domain.name} is not active; with OFFLINE and PERSIST_DEST its definition alone is migrated.`;
    throw new VmferryError('domain-not-running', detail);
  }
  domain.activeGuest();
  const { state } = domain.state;
  if (state === 'running' || state === 'paused') return;
  throw new VmferryError(
    'domain-not-running',
    `The domain ${domain.name} is ${state}; only a running or paused one can be migrated.`,
  );
}

function refuseMigrating({ name, migration }: Domain): void {
  if (migration === null) return;
  throw new VmferryError('already-migrating', `The domain ${name} takes part in migration ${migration.id} already.`, {
    data: { migrationId: migration.id },
  });
}

function refuseAutodestroy({ name, autodestroy }: Domain): void {
  if (!autodestroy) return;
  throw new VmferryError(
    'domain-autodestroy',
    `The domain ${name} ends with the control session that has started it, and so cannot leave this host.`,
  );
}

/** S24, S33: the target's XML is the live definition, or the caller's when the guest would see the same machine. */
export function targetXmlOf(domain: Domain, xml: string | undefined): string {
  if (xml === undefined) return formatDomain(withoutConnections(domain.definition));
  const target = parseDomain(xml);
  checkTargetDefinition(domain.definition, target);
  checkSupported(target);
  return formatDomain(withoutConnections(target));
}

/** Begin's cookie: who the source is, the lease as it is held, and the digest of the permit (handover rule 1). */
export async function beginCookie(
  context: SourceContext,
  domain: Domain,
  key: MigrationKey,
  { permit, offline }: { readonly permit: Permit; readonly offline: boolean },
): Promise<string> {
  const { host, locks } = context;
  // Of a domain that is not active nobody holds a lease; a driver with state knows how its last owner has left it.
  const asked = domain.guest !== null || locks.usesState;
  const leases = asked ? encodeLockState((await locks.inquire(domain.uuid, resourcesOf(domain.uuid))).state) : null;
  const cookie = encodeCookie({
    name: domain.name,
    uuid: domain.uuid,
    hostName: host.hostName,
    hostUuid: host.hostUuid,
    features: ['lockstate'],
    ...(leases === null ? {} : { lockState: { driver: locks.name, leases } }),
    vmferry: {
      migrationId: key.id,
      nonce: key.nonce,
      ...(offline ? { offline: true } : {}),
      permitDigest: permitDigest(permit),
      peer: { role: 'source', url: context.publicUrl(), storeId: host.storeId },
    },
  });
  return cookieToBase64(cookie);
}
