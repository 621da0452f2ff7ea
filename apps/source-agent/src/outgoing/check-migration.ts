import { blockerOf } from '@vmferry/agent';
import type { BeginRequest, CheckFinding, CheckPrepareReply, CreateMigration, MigrationCheck } from '@vmferry/api';
import { checkTunnel } from '@vmferry/client';
import { formatDomain } from '@vmferry/domain';
import { Findings, VmferryError } from '@vmferry/errors';
import { measureDirtyRate } from '@vmferry/hypervisor';
import { isOffline } from '@vmferry/migration';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import { beginChecks, beginCookie, targetXmlOf } from './begin-request.js';
import { forecastOf, offlineForecast } from './forecast.js';
import { beginOf, downtimeMsMaxDefault, type Outgoings } from './outgoings.js';
import { limitSecondsOf } from './patience.js';
import { ownFeatures, refuseBadDestination } from './peer-to-peer.js';

/**
 * Looks at a migration by the same checks that Begin and Prepare make, on both hosts, and tells all that is in the way and how it
 * would go. Nothing is written, taken or started, and a guest that runs is measured without being slowed.
 */
export async function checkMigration(
  context: SourceContext,
  outgoings: Outgoings,
  domain: Domain,
  body: CreateMigration,
): Promise<MigrationCheck> {
  const findings = new Findings();
  const begin = beginOf(body);
  findings.of(() => body.id === undefined || outgoings.refuseTaken(body.id));
  for (const check of beginChecks(context, domain, begin)) await findings.later(async () => check());
  await findings.later(async () => body.flags?.includes('TUNNELLED') && context.relay?.refuseUnlessTaking());
  const targetXml = findings.of(() => targetXmlOf(domain, body.xml)) ?? formatDomain(domain.definition);
  const [prepared, dirtyRate] = await Promise.all([
    askDestination(context, domain, body, { begin, targetXml }, findings),
    dirtyRateOf(context, domain),
  ]);
  const basis = { ...basisOf(domain, body), ...dirtyRate, ...bandwidthOf(outgoings, body, dirtyRate.missing) };
  const offline = isOffline(body.flags ?? []);
  const forecast = offline ? offlineForecast(basis) : forecastOf(basis);
  const blockers = [...findings.errors.map((error) => blockerOf(error, 'source')), ...(prepared?.blockers ?? [])];
  const warnings = [...(offline ? [] : warningsOf(context, domain, body, forecast)), ...(prepared?.warnings ?? [])];
  return { ok: blockers.length === 0, blockers, warnings, forecast };
}

/** What the destination says to the Prepare that this migration would send; its cookie is of a key and a permit that nobody keeps. */
async function askDestination(
  context: SourceContext,
  domain: Domain,
  body: CreateMigration,
  { begin, targetXml }: { readonly begin: BeginRequest; readonly targetXml: string },
  findings: Findings,
): Promise<CheckPrepareReply | undefined> {
  const {
    id = context.random.uuid(),
    destination,
    destinationName = domain.name,
    uri,
    listenAddress,
    parallelConnections,
  } = body;
  const answered = await findings.later(() => refuseBadDestination(context, body));
  if (answered !== undefined) findings.of(() => checkTunnel({ flags: body.flags ?? [] }, ownFeatures(context), answered.version));
  const key = { id, nonce: context.random.hex(16) };
  const cookie = await findings.later(() =>
    beginCookie(context, domain, key, { permit: context.random.hex(16), offline: isOffline(body.flags ?? []) }),
  );
  if (answered === undefined || cookie === undefined) return undefined;
  const flags = begin.flags?.filter((flag) => flag !== 'CHANGE_PROTECTION') ?? [];
  return findings.later(() =>
    context.destinationAgent(destination).checkPrepare({
      ...key,
      ...{ cookie, flags, destinationName, xml: targetXml },
      ...(uri === undefined ? {} : { uri }),
      ...(listenAddress === undefined ? {} : { listenAddress }),
      ...(parallelConnections === undefined ? {} : { parallelConnections }),
    }),
  );
}

async function dirtyRateOf(
  { clock, guestHost }: SourceContext,
  { guest, definition, state, migration }: Domain,
): Promise<{ readonly dirtyRateBytesPerSec: number | null; readonly missing: string | null }> {
  if (state.state !== 'running') return { dirtyRateBytesPerSec: 0, missing: null };
  if (guest === null || migration !== null)
    return { dirtyRateBytesPerSec: null, missing: 'A guest that is being migrated is not measured.' };
  try {
    const capabilities = await guestHost.capabilities(definition);
    const { memoryKib } = definition;
    return { dirtyRateBytesPerSec: await measureDirtyRate(guest.qmp, clock, { memoryKib, capabilities }), missing: null };
  } catch (thrown) {
    return { dirtyRateBytesPerSec: null, missing: VmferryError.from(thrown).message };
  }
}

function bandwidthOf(
  outgoings: Outgoings,
  { destination, flags = [], bandwidthMibPerSec }: CreateMigration,
  missing: string | null,
) {
  const transport = flags.includes('TUNNELLED') ? 'tunnelled' : 'direct';
  const known = [
    bandwidthMibPerSec === undefined ? null : bandwidthMibPerSec * 1_048_576,
    outgoings.lastRateTo(destination, flags),
  ].filter((rate) => rate !== null);
  if (known.length > 0) return { bandwidthBytesPerSec: Math.min(...known), missing };
  return {
    bandwidthBytesPerSec: null,
    missing: `No bandwidth was given, and no earlier migration to this destination of the same kind (${transport}, flags alike) and without a cap is known.`,
  };
}

function basisOf({ definition, state }: Domain, { flags = [], downtimeMsMax = downtimeMsMaxDefault }: CreateMigration) {
  const [running, live] = [state.state === 'running', flags.includes('LIVE')];
  return { memoryBytes: definition.memoryKib * 1_024, downtimeMsMax, running, live };
}

function warningsOf(
  { locks }: SourceContext,
  { name, definition, state }: Domain,
  { flags = [], timeouts = {} }: CreateMigration,
  { durationMs, converges, reason }: MigrationCheck['forecast'],
): CheckFinding[] {
  const warnings: [boolean, string, string][] = [];
  const seconds = durationMs === null ? 'all of the transfer' : `about ${Math.ceil(durationMs / 1_000)} s`;
  const limitSeconds = limitSecondsOf(timeouts, definition.memoryKib);
  const isWritable = definition.devices.some((device) => device.t === 'disk' && !device.readonly && device.source !== undefined);
  warnings.push(
    [
      state.state === 'running' && !flags.includes('LIVE'),
      'not-live',
      `Without LIVE the domain ${name} stands still for ${seconds}.`,
    ],
    [converges === false, 'does-not-converge', reason ?? ''],
    [
      limitSeconds !== null && durationMs !== null && durationMs > limitSeconds * 1_000,
      'timeout-too-short',
      `It would take ${seconds}, and its time is over after ${limitSeconds} s.`,
    ],
    [
      !isWritable,
      'no-image-lock',
      `The domain ${name} has no writable disk, so no image lock of QEMU's stands between two copies of it.`,
    ],
    [
      // Seen with QEMU alone, too (qemu-behaviour, TCG): what it translates itself it does not track in every case.
      definition.type === 'qemu' && state.state === 'running' && flags.includes('LIVE'),
      'emulated',
      `QEMU emulates the processor of the domain ${name}: such a guest can lose writes to its memory when it is migrated live, over several passes${flags.includes('PARALLEL') ? ' and with PARALLEL above all' : ''}, and nothing tells. KVM does not do that.`,
    ],
    [locks.name === 'none', 'no-lease', 'This host takes no leases: the outcome record alone decides who may run the guest.'],
  );
  return warnings.filter(([holds]) => holds).map(([, code, detail]) => ({ code, side: 'source', detail }));
}
