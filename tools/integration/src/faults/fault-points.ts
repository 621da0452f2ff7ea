import type { Whereabouts } from '../checks/expect-settled.js';
import { isManaged, isTunnelled, type Mode } from '../world/run.js';

/** Which process meets a fault point. The client is the one that drives a managed migration; peer-to-peer the source-agent does. */
export type Struck = 'source-agent' | 'destination-agent' | 'source-relay' | 'destination-relay' | 'client';

export const faultKinds = ['kill', 'freeze', 'error', 'delay'] as const;
export type Kind = (typeof faultKinds)[number];

interface Point {
  readonly what: string;
  readonly side: 'source' | 'destination' | 'relay';
  /** Where the guest is at the end when the process is killed there. Before the permit it stays; once the record may be committed, it goes. */
  readonly killed: Whereabouts;
  readonly only?: 'managed' | 'tunnelled';
  /** Of a managed migration it is the client that does this. */
  readonly driver?: true;
}

/** Every named fault point (handover-and-faults, Named fault points). */
const faultPoints = {
  S0: { what: 'begin.enter', side: 'source', killed: 'source', only: 'managed' },
  S1: { what: 'begin.journal', side: 'source', killed: 'source' },
  S2: { what: 'begin.cookie', side: 'source', killed: 'source' },
  S3: { what: 'begin.replied', side: 'source', killed: 'source', only: 'managed' },
  S4: { what: 'prepare.sent', side: 'source', killed: 'source', driver: true },
  S5: { what: 'prepare.replied', side: 'source', killed: 'source', driver: true },
  S6: { what: 'perform.journal', side: 'source', killed: 'source' },
  S7: { what: 'tunnel.open', side: 'source', killed: 'source' },
  S8: { what: 'params.set', side: 'source', killed: 'source' },
  S9: { what: 'migrate.issued', side: 'source', killed: 'source' },
  S10: { what: 'active', side: 'source', killed: 'source' },
  S11: { what: 'guest.stopped', side: 'source', killed: 'source' },
  S12: { what: 'qemu.completed', side: 'source', killed: 'source' },
  S13: { what: 'lease.offered', side: 'source', killed: 'source' },
  S14: { what: 'journal.permit', side: 'source', killed: 'source' },
  S15: { what: 'perform.replied', side: 'source', killed: 'source' },
  S16: { what: 'finish.sent', side: 'source', killed: 'source', driver: true },
  S17: { what: 'finish.replied', side: 'source', killed: 'destination', driver: true },
  S18: { what: 'journal.decision', side: 'source', killed: 'destination' },
  S19: { what: 'source.killed', side: 'source', killed: 'destination' },
  S20: { what: 'cleanup, undefine, audit', side: 'source', killed: 'destination' },
  S21: { what: 'job.end', side: 'source', killed: 'destination' },
  D0: { what: 'prepare.enter', side: 'destination', killed: 'source' },
  D1: { what: 'xml.checked', side: 'destination', killed: 'source' },
  D2: { what: 'journal.prepare', side: 'destination', killed: 'source' },
  D3: { what: 'socket', side: 'destination', killed: 'source' },
  D4: { what: 'storage, labels', side: 'destination', killed: 'source' },
  D5: { what: 'launcher.spawned', side: 'destination', killed: 'source' },
  D6: { what: 'qemu.exec', side: 'destination', killed: 'source' },
  D7: { what: 'qmp.ready', side: 'destination', killed: 'source' },
  D8: { what: 'incoming.listening', side: 'destination', killed: 'source' },
  D9: { what: 'prepare.replied', side: 'destination', killed: 'source' },
  D10: { what: 'stream.attached', side: 'destination', killed: 'source' },
  D11: { what: 'streaming', side: 'destination', killed: 'source' },
  D12: { what: 'loaded', side: 'destination', killed: 'source' },
  D13: { what: 'finish.enter', side: 'destination', killed: 'source' },
  D14: { what: 'lease.acquired', side: 'destination', killed: 'source' },
  D15: { what: 'journal.committing', side: 'destination', killed: 'destination' },
  D16: { what: 'cont.issued', side: 'destination', killed: 'destination' },
  D17: { what: 'running.proven', side: 'destination', killed: 'destination' },
  D18: { what: 'persisted', side: 'destination', killed: 'destination' },
  D19: { what: 'adopted', side: 'destination', killed: 'destination' },
  D20: { what: 'finish.replied', side: 'destination', killed: 'destination' },
  R0: { what: 'session', side: 'relay', killed: 'source', only: 'tunnelled' },
  R1: { what: 'source attached', side: 'relay', killed: 'source', only: 'tunnelled' },
  R2: { what: 'destination attached', side: 'relay', killed: 'source', only: 'tunnelled' },
  R3: { what: 'streaming', side: 'relay', killed: 'either', only: 'tunnelled' },
  R4: { what: 'half-close', side: 'relay', killed: 'either', only: 'tunnelled' },
  R5: { what: 'closed', side: 'relay', killed: 'destination', only: 'tunnelled' },
} as const satisfies Record<string, Point>;

export type PointName = keyof typeof faultPoints;
export const pointNames = Object.keys(faultPoints) as PointName[]; // The keys of a constant are its type.

export const pointOf = (name: PointName): Point => faultPoints[name];

/** Whether a migration of this mode comes by this point. */
export function isMet(name: PointName, mode: Mode): boolean {
  const { only } = pointOf(name);
  return only === undefined || (only === 'managed' ? isManaged(mode) : isTunnelled(mode));
}

/** The processes that can be struck at a point in a mode; the relay's points are met by the relays of both hosts. */
export function struckAt(name: PointName, mode: Mode): Struck[] {
  const { side, driver } = pointOf(name);
  if (side === 'relay') return ['source-relay', 'destination-relay'];
  if (side === 'destination') return ['destination-agent'];
  return [driver === true && isManaged(mode) ? 'client' : 'source-agent'];
}

/** The lines of the restart table (handover-and-faults, Restart of an agent), each with the points at which its agent is ended. */
const restartTable = {
  'the source agent in begin3': ['S0', 'S1', 'S2', 'S3', 'S4', 'S5'],
  'the source agent in perform3, without a permit': ['S6', 'S7', 'S8', 'S9', 'S10', 'S11', 'S12', 'S13'],
  'the source agent in perform3_done': ['S14', 'S15', 'S16', 'S17', 'S18'],
  'the source agent in confirm3': ['S19', 'S20', 'S21'],
  'the destination agent in prepare, not loaded': ['D0', 'D1', 'D2', 'D3', 'D4', 'D5', 'D6', 'D7', 'D8', 'D9', 'D10', 'D11'],
  'the destination agent in finish3, the record open, loaded': ['D12', 'D13', 'D14'],
  'the destination agent while committing, no cont sent': ['D15'],
  'the destination agent while committing, the guest runs': ['D16', 'D17'],
  'the destination agent, committed': ['D18', 'D19', 'D20'],
} as const satisfies Record<string, readonly PointName[]>;

/** What is restarted in which phase when a process is ended at a point. */
export function restartOf(name: PointName, mode: Mode): string {
  const [struck] = struckAt(name, mode);
  if (struck === 'client') return 'the client that drives';
  if (struck === 'source-relay') return 'a relay';
  const line = Object.entries(restartTable).find(([, points]) => points.some((point) => point === name));
  if (line === undefined) throw new Error(`the point ${name} is of no line of the restart table`);
  return line[0];
}
