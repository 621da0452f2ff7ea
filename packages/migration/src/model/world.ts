import type { DestinationEffect, DestinationState } from '../destination-machine.js';
import { permitDigest } from '../key.js';
import { type OutcomeRecord, unbound } from '../record.js';
import { begun, type SourceEffect, type SourceEvent, type SourceJournal, type SourceState } from '../source-machine.js';
import type { Clause } from './clauses.js';
import { idOf, intern, listOf } from './intern.js';

/*
 * The world of the model: both agents with what they remember and what is on disk, both QEMUs, the lease, the driver of the
 * five steps, messages that are still on their way, and a few facts for the invariants that nobody in the world knows.
 */

export interface Config {
  readonly protocol: 'v3' | 'v2';
  /**
   * `host`: embedded, scope host (no state). `transfer`: an atomic transfer with epochs. `release`: epochs too, but freed by the one, then taken by the other,
   * and had by QEMU, with which it ends (sanlock).
   */
  readonly lease: 'none' | 'host' | 'transfer' | 'release';
  readonly guest: 'running' | 'paused';
  /** Whether QEMU's image lock refuses a second writer. Off is the harder case: a guest without a writable disk. */
  readonly imageLock: boolean;
  /** How many disturbances the environment may make in all. */
  readonly faults: number;
  /** When given, only disturbances whose label has one of these words: for a search that is aimed at one story. */
  readonly only: readonly string[] | null;
  readonly off: ReadonlySet<Clause>;
  /** Whether a refused `cont` may start the guest all the same, just before its end. No known QEMU does; one clause guards against it. */
  readonly refusedMayRun: boolean;
}

export type Driver = 'prepare' | 'perform' | 'performing' | 'finish' | 'finishing' | 'cancel' | 'confirm' | 'done' | 'dead';
type Session = 'alive' | 'due' | 'over';
/** The guest's CPUs, and QEMU's migration status. */
type SourceQemu = 'gone' | `${'run' | 'stop'}-${'none' | 'active' | 'completed' | 'failed'}`;
/** `draining`: the source is out of it, and the rest of the image is still on its way (qemu-behaviour, M). */
type DestinationQemu = 'none' | 'incoming' | 'draining' | 'loaded' | 'running' | 'gone';
/**
 * Owner and epoch, in the order in which a lease with state goes through them: the source's as Begin read it, freed by it (`release` only), the
 * destination's, given back, reclaimed. `h0` and `h1`: the destination host's own lease, free and held. `-`: none.
 */
type Lease = '-' | 'h0' | 'h1' | 's0' | 'sf' | 'd' | 'sr' | 's1';

export const late = { prepare: 1, perform: 2, finish: 4, abort: 8, confirm: 16, bind: 32, permit: 64 } as const;

export interface World {
  readonly driver: Driver;
  readonly sourceSession: Session;
  readonly destinationSession: Session;
  /** A set of `late`. */
  readonly late: number;
  readonly source: SourceState | null;
  readonly journal: SourceJournal;
  readonly sourceTodo: readonly SourceEffect[];
  /** An event whose journal could not be written. */
  readonly sourceAgain: SourceEvent | null;
  readonly sourceRetry: boolean;
  /** Perform was asked of this life of the agent, and QEMU is not migrating yet. */
  readonly migrateWanted: boolean;
  /** Protocol v2: the destination has answered the binding of its record. */
  readonly bindAnswered: boolean;
  readonly sourceQemu: SourceQemu;
  readonly destinationUp: boolean;
  readonly destination: DestinationState | null;
  readonly record: OutcomeRecord | null;
  readonly destinationTodo: readonly DestinationEffect[];
  readonly destinationRetry: boolean;
  readonly destinationQemu: DestinationQemu;
  /** Somebody made the destination's state folder anew. */
  readonly storeReplaced: boolean;
  readonly lease: Lease;
  /** The guest went on at the source after the destination's image was taken. */
  readonly stale: boolean;
  readonly destinationRan: boolean;
  /** The record said `committed` for a guest that stays paused, with its complete image there. */
  readonly handedOver: boolean;
  /** The source took a user's destroy. */
  readonly userDestroyed: boolean;
  /** The final answer that the destination has once given. */
  readonly said: 'none' | 'committed' | 'aborted' | 'unknown';
  /** Only with the clause `mutex` off: a second writer of the record. */
  readonly stray: 'none' | 'evidence' | 'done';
}

/** The source agent is up when it has a state. */
export type By = 'source' | 'destination' | 'environment';

export interface Transition {
  readonly label: string;
  readonly by: By;
  /** How many disturbances it takes: 0 or 1. */
  readonly cost: 0 | 1;
  readonly next: World;
}

/** What may follow one step of a machine: done, or its journal failed. */
export interface Variant {
  readonly note: string;
  readonly cost: 0 | 1;
  readonly next: World;
}

export const permit = '0f'.repeat(16);
const key = { id: 'm', nonce: 'ab'.repeat(16) };
export const destinationPeer = intern({ url: 'http://b', storeId: 'store-b' });
/** What Begin's cookie says, which v3's Prepare or v2's binding brings. */
export const binding = (config: Config) =>
  intern({
    permitDigest: permitDigest(permit),
    source: { url: 'http://a', storeId: 'store-a', hostName: 'a', hostUuid: 'a' },
    lease: null,
    mode: modeOf(config),
  });

const modeOf = ({ guest }: Config): OutcomeRecord['mode'] => (guest === 'running' ? 'run' : 'paused');

export function openRecord(config: Config): OutcomeRecord {
  return intern({
    version: 1,
    key,
    decision: 'open',
    ...(config.protocol === 'v3' ? binding(config) : unbound),
    mode: modeOf(config),
    reason: null,
  });
}

/** Begin is done: its job is journalled, and nothing else has happened. */
export function initialWorld(config: Config): World {
  const source = intern(begun({ key, permit, resumeOnRollback: config.guest === 'running' }));
  return {
    driver: 'prepare',
    sourceSession: 'alive',
    destinationSession: 'alive',
    late: 0,
    source,
    journal: intern(source.journal),
    sourceTodo: listOf([]),
    sourceAgain: null,
    sourceRetry: false,
    migrateWanted: false,
    bindAnswered: false,
    sourceQemu: config.guest === 'running' ? 'run-none' : 'stop-none',
    destinationUp: true,
    destination: null,
    record: null,
    destinationTodo: listOf([]),
    destinationRetry: false,
    destinationQemu: 'none',
    storeReplaced: false,
    lease: { none: '-', host: 'h0', transfer: 's0', release: 's0' }[config.lease] as Lease,
    stale: false,
    destinationRan: false,
    handedOver: false,
    userDestroyed: false,
    said: 'none',
    stray: 'none',
  };
}

/** The canonical name of a world. The disturbances left are not part of it: a world is first reached with the most of them left. */
export function nameOf(w: World): string {
  const bits =
    (w.sourceRetry ? 1 : 0) |
    (w.migrateWanted ? 2 : 0) |
    (w.destinationUp ? 4 : 0) |
    (w.destinationRetry ? 8 : 0) |
    (w.storeReplaced ? 16 : 0) |
    (w.stale ? 32 : 0) |
    (w.destinationRan ? 64 : 0) |
    (w.userDestroyed ? 128 : 0) |
    (w.handedOver ? 256 : 0) |
    (w.bindAnswered ? 512 : 0) |
    (w.late << 10);
  return `${w.driver},${w.sourceSession},${w.destinationSession},${bits},${idOf(w.source)},${idOf(w.journal)},${idOf(w.sourceTodo)},${idOf(w.sourceAgain)},${w.sourceQemu},${idOf(w.destination)},${idOf(w.record)},${idOf(w.destinationTodo)},${w.destinationQemu},${w.lease},${w.said},${w.stray}`;
}
