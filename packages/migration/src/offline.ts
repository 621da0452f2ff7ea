import { VmferryError } from '@vmferry/errors';
import type { Protocol } from './protocols.js';

/*
 * Offline migration (OFFLINE, 1024): the definition of a domain that is not active goes to the other host. Nothing runs and nothing streams,
 * so the flag is at odds with all that is about a guest that runs. LIVE is harmless beside it and means nothing.
 */

/** What a step may be asked for that is about the sending of a guest's memory, by the name of its field. */
export interface SendingWishes {
  readonly uri?: unknown;
  readonly listenAddress?: unknown;
  readonly bandwidthMibPerSec?: unknown;
  readonly downtimeMsMax?: unknown;
  readonly timeouts?: unknown;
  readonly parallelConnections?: unknown;
}

const sendingWishes = ['uri', 'listenAddress', 'bandwidthMibPerSec', 'downtimeMsMax', 'timeouts', 'parallelConnections'] as const;

/** The flags of a step, or of a journal. */
export function isOffline(flags: ReadonlySet<string> | readonly string[]): boolean {
  return new Set(flags).has('OFFLINE');
}

/** Flags and wishes that OFFLINE cannot be beside, and the flag that it needs; flags without OFFLINE pass. Throws `invalid-argument`. */
export function checkOffline(flags: ReadonlySet<string> | readonly string[], wishes: SendingWishes): void {
  if (!isOffline(flags)) return;
  const given = new Set(flags);
  if (given.has('TUNNELLED')) throw atOdds('/flags', 'nothing is sent that could go through a tunnel: leave TUNNELLED out');
  if (given.has('PARALLEL')) throw atOdds('/flags', 'nothing is sent that several channels could share: leave PARALLEL out');
  if (given.has('TLS')) throw atOdds('/flags', 'nothing is sent that could be encrypted: leave TLS out');
  if (given.has('PAUSED')) throw atOdds('/flags', 'nothing runs that could be left paused: leave PAUSED out');
  if (!given.has('PERSIST_DEST'))
    throw atOdds(
      '/flags',
      'the definition is all that goes over, and the destination keeps it only with PERSIST_DEST: give that too',
    );
  refuseSendingWishes(wishes);
}

/** The same of a step that belongs to an offline migration, whether its flags say so again or not. */
export function refuseSendingWishes(wishes: SendingWishes): void {
  const wish = sendingWishes.find((name) => wishes[name] !== undefined);
  if (wish !== undefined) throw atOdds(`/${wish}`, `no memory is sent, so ${wish} has no meaning: leave it out`);
}

/** Protocol v2 is of agents and tools that know of no offline migration. Throws `peer-protocol`. */
export function refuseOfflineIn(protocol: Protocol, flags: ReadonlySet<string> | readonly string[]): void {
  if (protocol !== 'v2' || !isOffline(flags)) return;
  throw new VmferryError('peer-protocol', 'OFFLINE is of protocol v3 alone, and this migration would be one of v2.');
}

/** Begin has said what moves, and each step has to be of the same. Throws `step-mismatch`. */
export function refuseOtherThanBegun(
  id: string,
  step: 'prepare' | 'perform',
  offline: { readonly begun: boolean; readonly taken: boolean },
): void {
  if (offline.begun === offline.taken) return;
  const [begun, taken] = offline.begun ? ['with', 'without'] : ['without', 'with'];
  const done = { prepare: 'prepared', perform: 'performed' }[step];
  const detail = `The migration ${id} was begun ${begun} OFFLINE and is ${done} ${taken} it.`;
  throw new VmferryError('step-mismatch', detail, { data: { step } });
}

function atOdds(path: string, why: string): VmferryError {
  const detail = `With OFFLINE ${why}.`;
  return new VmferryError('invalid-argument', detail, { errors: [{ path, code: 'invalid-argument', detail }] });
}
