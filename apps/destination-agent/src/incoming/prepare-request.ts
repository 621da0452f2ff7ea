import { isTcp, type PrepareRequest, parseTcpUri } from '@vmferry/api';
import {
  assignAddresses,
  checkSupported,
  type DomainDefinition,
  parseDomain,
  renameDomain,
  resolveMachine,
  unplaceDisplay,
  withoutConnections,
} from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { type MigrationTls, multifd } from '@vmferry/hypervisor';
import {
  type Binding,
  channelsOf,
  checkOffline,
  checkParallel,
  checkTls,
  isOffline,
  isParallel,
  keyName,
  type MigrationFlags,
  type MigrationKey,
  type Protocol,
  parseFlags,
  refuseOfflineIn,
  refuseParallelIn,
  unbound,
  wantsTls,
} from '@vmferry/migration';
import type { DestinationContext } from '../context.js';
import { readBeginCookie } from './begin-cookie.js';
import { hasArrivedOffline } from './incoming-journal.js';
import type { TcpWish } from './stream.js';

/** Which of the four Prepares it is: the two of v3 bring Begin's cookie, the two of v2 bring none (S21). */
export interface PrepareStep {
  readonly protocol: Protocol;
  readonly transport: 'direct' | 'tunnelled';
}

export type PrepareBody = Omit<PrepareRequest, 'cookie'> & { readonly cookie?: string | null | undefined };

/** A Prepare whose every part was read and accepted; nothing has happened yet. */
export interface AcceptedPrepare {
  readonly key: MigrationKey;
  readonly flags: MigrationFlags;
  readonly definition: DomainDefinition;
  readonly sourceName: string;
  readonly binding: Omit<Binding, 'mode'>;
  /** How the source wants to reach this host for the stream; null for the way in which this host names itself. */
  readonly uri: string | null;
  /** Where QEMU is to listen; null when it is handed its socket. */
  readonly tcp: TcpWish | null;
  /** What QEMU encrypts the stream with; null when it does not. */
  readonly tls: MigrationTls | null;
  /** Channels beside the main one; null for a migration that is not parallel. */
  readonly channels: number | null;
  readonly session: string | null;
}

/** Reads and checks a Prepare in full, before any side effect. Throws what is wrong with it, by its own code. */
export async function acceptPrepare(
  context: DestinationContext,
  id: string,
  body: PrepareBody,
  { protocol, transport }: PrepareStep,
): Promise<AcceptedPrepare> {
  const key = { id, nonce: body.nonce };
  const flags = readFlags(context, body, transport);
  refuseOfflineIn(protocol, flags);
  refuseParallelIn(protocol, flags);
  const tls = await readTls(context, flags);
  if (body.session !== undefined) context.sessions.require(body.session);
  const original = parseDomain(body.xml);
  const binding = protocol === 'v3' ? readBeginCookie(context, key, original, body.cookie ?? '', isOffline(flags)) : unbound;
  const definition = await readDefinition(context, body, original);
  await refuseWithoutMultifd(context, definition, flags);
  await refuseDuplicate(context, key, definition);
  const tcp = tcpWishOf(context, body);
  if (tcp !== null) await context.ports.probe(tcp.port, tcp.address);
  return {
    key,
    flags,
    definition,
    sourceName: original.name,
    binding,
    uri: body.uri ?? null,
    tcp,
    tls,
    channels: channelsOf(flags, body.parallelConnections),
    session: body.session ?? null,
  };
}

/** The flags, and whether the stream can come the way that they and the body say; offline there is none, and nothing may be said of it. */
export function readFlags(context: DestinationContext, body: PrepareBody, transport: 'direct' | 'tunnelled'): MigrationFlags {
  const flags = parseFlags(body.flags ?? []);
  checkOffline(flags, body);
  checkParallel(flags, body.parallelConnections);
  checkTls(flags);
  checkTransport(context, flags, transport);
  const { uri = '', listenAddress } = body;
  if (isTcp(uri)) refuseTcp(context, uri, flags);
  else refuseUnmetTls(context, uri, transport);
  const taker = isTcp(uri) ? 'qemu' : transport === 'tunnelled' ? 'relay' : 'agent';
  if (listenAddress !== undefined) context.listening.refuseUnlessListening(listenAddress, taker);
  return flags;
}

function refuseTcp({ ports }: DestinationContext, uri: string, flags: MigrationFlags): void {
  if (flags.has('TUNNELLED'))
    throw new VmferryError('invalid-argument', `A tunnel is taken by the relay, never by QEMU at ${uri}: leave one of them out.`);
  const tcp = parseTcpUri(uri);
  if (typeof tcp === 'string') throw new VmferryError('invalid-argument', `The uri ${uri} cannot be used: ${tcp}.`);
  ports.refuseUnlessOffered(tcp.port, wantsTls(flags));
}

/** Where the body wants QEMU to listen; null when it does not. */
export function tcpWishOf({ ports }: DestinationContext, { uri = '', listenAddress }: PrepareBody): TcpWish | null {
  const tcp = parseTcpUri(uri);
  return typeof tcp === 'string' ? null : { ...tcp, address: listenAddress ?? ports.address };
}

/** What QEMU is to encrypt the stream with. Throws `tls-unavailable`. */
export async function readTls({ migrateTls }: DestinationContext, flags: MigrationFlags): Promise<MigrationTls | null> {
  return wantsTls(flags) ? migrateTls.credentials('server') : null;
}

/** The definition as it would run here: renamed, on a machine that this QEMU has, each device in its place, its display free to have ports of this host. */
export async function readDefinition(
  context: DestinationContext,
  body: PrepareBody,
  original: DomainDefinition,
): Promise<DomainDefinition> {
  const renamed = body.destinationName === undefined ? original : renameDomain(original, body.destinationName);
  checkSupported(renamed);
  const capabilities = await context.guestHost.capabilities(renamed);
  const plain = unplaceDisplay(withoutConnections(renamed));
  return assignAddresses(resolveMachine(plain, capabilities.machineAliases));
}

/** Whether the QEMU that is going to be started takes several channels. Throws `hypervisor-unsupported`. */
export async function refuseWithoutMultifd(
  { guestHost, host }: DestinationContext,
  definition: DomainDefinition,
  flags: MigrationFlags,
): Promise<void> {
  if (!isParallel(flags)) return;
  const { emulator, migrationCapabilities } = await guestHost.capabilities(definition);
  if (migrationCapabilities.includes(multifd)) return;
  const detail = `${emulator} of ${host.hostName} has no ${multifd}, which PARALLEL needs: leave PARALLEL out.`;
  throw new VmferryError('hypervisor-unsupported', detail, { data: { emulator, missing: [multifd] } });
}

function checkTransport({ relay, host }: DestinationContext, flags: MigrationFlags, transport: 'direct' | 'tunnelled'): void {
  if (flags.has('TUNNELLED') !== (transport === 'tunnelled')) {
    throw new VmferryError(
      'invalid-argument',
      `A ${transport} migration is prepared ${transport === 'direct' ? 'without' : 'with'} the flag TUNNELLED.`,
    );
  }
  if (transport === 'tunnelled' && relay === null) {
    throw new VmferryError('invalid-argument', `The host ${host.hostName} has no tunnel relay (--relay); migrate directly.`);
  }
}

/** Whether a stream speaks TLS is its taker's word: the agent of a direct one does not, its relay may. */
function refuseUnmetTls({ relay }: DestinationContext, uri: string, transport: 'direct' | 'tunnelled'): void {
  const { protocol } = new URL(transport === 'tunnelled' && relay !== null ? relay.baseUrl : 'http://direct');
  if (!uri.startsWith('https:') || protocol === 'https:') return;
  throw new VmferryError(
    'invalid-argument',
    `The stream of a ${transport} migration does not speak TLS here, as ${uri} wants it.`,
  );
}

/**
 * A domain of this name or uuid that is active here, or whose migration is not decided or not taken over yet, is in the way, and so is another one
 * that is defined under this name or uuid.
 */
export async function refuseDuplicate(
  context: DestinationContext,
  key: MigrationKey,
  definition: DomainDefinition,
): Promise<void> {
  await refuseArrived(context, key, definition);
  await refuseLeaving(context, definition);
  for (const { value: status } of await context.guestHost.statuses.list()) {
    if (status.uuid !== definition.uuid && status.name !== definition.name) continue;
    const same = `${status.name} (${status.uuid})`;
    if (status.migration !== null && status.migration.nonce !== key.nonce) {
      const journal = await context.journals.read(keyName(status.migration));
      if (status.owner === 'destination' && journal?.record.decision === 'committed') {
        throw justArrived(context, same);
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
    if ((config.name === definition.name) === (config.uuid === definition.uuid)) continue;
    const detail =
      config.uuid === definition.uuid
        ? `The domain ${config.uuid} is defined on ${context.host.hostName} as ${config.name}; migrate it under that name, or undefine that one.`
        : `The name ${config.name} belongs to domain ${config.uuid} on ${context.host.hostName}.`;
    throw new VmferryError('domain-exists', detail);
  }
}

/** By an offline migration whose definition the source-agent of this host does not know yet. */
async function refuseArrived(context: DestinationContext, key: MigrationKey, { uuid, name }: DomainDefinition): Promise<void> {
  const arrival = await context.arrivals.read(uuid);
  if (arrival === null || arrival.nonce === key.nonce) return;
  const journal = await context.journals.read(keyName(arrival));
  if (journal !== null && hasArrivedOffline(journal)) throw justArrived(context, `${name} (${uuid})`);
}

/** Two hosts that sent each other one definition, each to forget its own, would both be without it at the end. */
async function refuseLeaving({ leaving, host }: DestinationContext, { uuid, name }: DomainDefinition): Promise<void> {
  const migration = await leaving.read(uuid);
  if (migration === null) return;
  const detail = `The definition of domain ${name} (${uuid}) is leaving ${host.hostName} by migration ${migration.id}, which is not decided yet.`;
  throw new VmferryError('in-doubt', detail, { data: { migrationId: migration.id } });
}

function justArrived({ host }: DestinationContext, domain: string): VmferryError {
  const detail = `The domain ${domain} has just arrived on ${host.hostName} and is being taken over; try again.`;
  return new VmferryError('handover-pending', detail);
}
