import { blockerOf } from '@vmferry/agent';
import type { CheckFinding, CheckPrepareReply, CheckPrepareRequest } from '@vmferry/api';
import { type DomainDefinition, parseDomain } from '@vmferry/domain';
import { Findings } from '@vmferry/errors';
import { obstaclesTo } from '@vmferry/guest';
import { isOffline } from '@vmferry/migration';
import type { DestinationContext } from '../context.js';
import { readBeginCookie } from './begin-cookie.js';
import type { Incomings } from './incomings.js';
import { readDefinition, readFlags, readTls, refuseDuplicate, refuseWithoutMultifd, tcpWishOf } from './prepare-request.js';

/**
 * Looks at a Prepare by the same checks that Prepare makes, and at what its QEMU would need, and tells all that is in the way. Nothing
 * is written, taken or started; an answer without a blocker promises nothing of a later moment.
 */
export async function checkPrepare(
  context: DestinationContext,
  incomings: Incomings,
  body: CheckPrepareRequest,
): Promise<CheckPrepareReply> {
  const findings = new Findings();
  const key = { id: body.id, nonce: body.nonce };
  const offline = isOffline(body.flags ?? []);
  const transport = body.flags?.includes('TUNNELLED') === true ? 'tunnelled' : 'direct';
  const flags = findings.of(() => readFlags(context, body, transport));
  if (flags !== undefined) {
    const tcp = tcpWishOf(context, body);
    await findings.later(async () => readTls(context, flags));
    await findings.later(async () => tcp && context.ports.probe(tcp.port, tcp.address));
    await findings.later(async () => flags.has('TUNNELLED') && context.relay?.refuseUnlessTaking());
  }
  findings.of(() => body.session === undefined || context.sessions.require(body.session));
  const original = findings.of(() => parseDomain(body.xml));
  const definition = original && (await findings.later(() => readDefinition(context, body, original)));
  if (original !== undefined)
    findings.of(() => readBeginCookie(context, key, original, body.cookie, isOffline(body.flags ?? [])));
  if (definition !== undefined) {
    if (flags !== undefined) await findings.later(() => refuseWithoutMultifd(context, definition, flags));
    await findings.later(() => refuseDuplicate(context, key, definition));
    findings.of(() => incomings.refuseRival(key, definition));
    if (!offline) findings.errors.push(...(await obstaclesTo(context.guestHost, definition)));
  }
  const blockers = findings.errors.map((error) => blockerOf(error, 'destination'));
  const warnings = definition === undefined ? [] : await (offline ? startWarnings : memoryWarnings)(context, definition);
  return { ok: blockers.length === 0, blockers, warnings };
}

/** Offline nothing starts: what would be in the way of a start is no obstacle to the migration, and worth knowing. */
async function startWarnings({ guestHost }: DestinationContext, definition: DomainDefinition): Promise<CheckFinding[]> {
  const obstacles = await obstaclesTo(guestHost, definition);
  return obstacles.map(({ code, message }) => ({
    code,
    side: 'destination',
    detail: `It could not be started there: ${message}`,
  }));
}

/** Linux gives more memory than it has; a guest that does not fit is killed later, or slows everybody down. */
async function memoryWarnings(
  { host, availableMemoryBytes }: DestinationContext,
  { memoryKib }: DomainDefinition,
): Promise<CheckFinding[]> {
  const availableBytes = await availableMemoryBytes();
  if (availableBytes >= memoryKib * 1_024) return [];
  const availableMib = Math.floor(availableBytes / 1_048_576);
  const detail = `The guest has ${Math.ceil(memoryKib / 1_024)} MiB of memory, and ${host.hostName} has ${availableMib} MiB available.`;
  return [{ code: 'memory-short', side: 'destination', detail }];
}
