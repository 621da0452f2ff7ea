import { randomUUID } from 'node:crypto';
import type { MigrationTimeouts } from '@vmferry/api';
import { DestinationAgentClient, ManagedMigration, type SourceAgentClient } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import type { Host } from '@vmferry/lab';
import { systemClock } from '@vmferry/seams';
import type { World } from './world.js';

export const modes = ['p2p-tunnelled', 'p2p-direct', 'managed-direct', 'managed-tunnelled'] as const;
export type Mode = (typeof modes)[number];

/** The three that each scenario is run in; the managed one changes its transport from case to case. */
export const mainModes = ['p2p-tunnelled', 'p2p-direct', 'managed-direct'] as const satisfies readonly Mode[];

export const isManaged = (mode: Mode): boolean => mode.startsWith('managed');
export const isTunnelled = (mode: Mode): boolean => mode.endsWith('tunnelled');

export interface RunOptions {
  readonly mode: Mode;
  /** Beside those that the mode makes. Default LIVE alone. */
  readonly flags?: readonly string[];
  readonly destinationName?: string;
  /** The wished-for definition on the destination (S24). */
  readonly xml?: string;
  readonly bandwidthMibPerSec?: number;
  readonly downtimeMsMax?: number;
  readonly timeouts?: MigrationTimeouts;
  /** How the source is to reach the destination for the stream. */
  readonly uri?: string;
  readonly listenAddress?: string;
  readonly parallelConnections?: number;
  /** Where the driver reaches the destination-agent, when something stands between. */
  readonly via?: string;
}

/** One migration under way. */
export interface Run {
  readonly id: string;
  readonly mode: Mode;
  readonly from: Host;
  readonly to: Host;
  /** Resolves when its driver has nothing more to do; with the driver's error, for the faults it meets are no error of the test. */
  readonly driven: Promise<VmferryError | null>;
  readonly cancel: () => Promise<unknown>;
}

/** A stream that does not end: the guest rewrites its memory faster than 1 MiB/s carries it. */
export const endless = { bandwidthMibPerSec: 1, downtimeMsMax: 1 } as const;

/** Begins to migrate the guest from where it is to the other host. */
export function migrate(world: World, options: RunOptions): Run {
  const { mode } = options;
  const [from, to] = [world.here, world.there];
  const run = { id: randomUUID(), mode, from, to };
  const ends = { source: from.sourceClient(), destination: to.destinationClient(), url: options.via ?? to.destination.url };
  return {
    ...run,
    ...(isManaged(mode) ? managed(world, run.id, options, from, ends.url) : peerToPeer(world, run.id, options, ends)),
  };
}

/** What is asked for in either kind of request. */
function wishesOf({ mode, flags, via: _via, ...wishes }: RunOptions) {
  return { ...wishes, flags: flagsOf({ mode, ...(flags === undefined ? {} : { flags }) }) };
}

type Driving = Pick<Run, 'driven' | 'cancel'>;

export function flagsOf({ mode, flags = ['LIVE'] }: Pick<RunOptions, 'mode' | 'flags'>): string[] {
  return [...flags, ...(isTunnelled(mode) ? ['TUNNELLED'] : [])];
}

function peerToPeer(
  world: World,
  id: string,
  options: RunOptions,
  { source, url }: { source: SourceAgentClient; url: string },
): Driving {
  const request = source.migrate({ id, domain: world.name, destination: url, ...wishesOf(options) });
  return { driven: errorOf(request), cancel: () => source.cancelMigration(id) };
}

function managed(world: World, id: string, options: RunOptions, from: Host, url: string): Driving {
  const migration = new ManagedMigration({
    source: from.sourceClient(),
    destination: new DestinationAgentClient(url),
    request: { id, domain: world.name, ...wishesOf(options) },
    clock: systemClock,
    sessionTtlSeconds: 2,
  });
  const driven = migration.run().then(
    ({ error }) => error,
    (thrown: unknown) => VmferryError.from(thrown),
  );
  return { driven, cancel: () => migration.cancel() };
}

async function errorOf(act: Promise<unknown>): Promise<VmferryError | null> {
  try {
    await act;
    return null;
  } catch (thrown) {
    return VmferryError.from(thrown);
  }
}
