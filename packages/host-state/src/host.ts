import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import type { FaultPoints, Random } from '@vmferry/seams';
import { type Arrivals, arrivalsIn, leavingIn } from './arrivals.js';
import type { SetAsideReporter } from './document-folder.js';
import { DocumentStore } from './document-store.js';
import { DomainConfigs } from './domain-configs.js';
import { DomainStatuses } from './domain-statuses.js';

/** Who this host is. `storeId` is made with the state folder: an answer from another store is no answer (handover-and-faults). */
export interface HostIdentity {
  readonly hostName: string;
  readonly hostUuid: string;
  /** 32 hex digits. */
  readonly storeId: string;
}

/** A host is its state folder; its three apps share it (DESIGN, "On disk"). */
export interface HostState {
  readonly identity: HostIdentity;
  readonly configs: DomainConfigs;
  readonly statuses: DomainStatuses;
  readonly arrivals: Arrivals;
  /** The same of definitions that go the other way. */
  readonly leaving: Arrivals;
  /** Absolute paths below the state folder. They are made by whoever first writes there. */
  readonly folders: { readonly run: string; readonly migrations: string; readonly locks: string; readonly labels: string };
}

export interface OpenHostState {
  readonly stateDir: string;
  /** What a new state folder gets; an old one keeps what it has. `hostName`: 1 to 255 printable ASCII characters. */
  readonly defaults: { readonly hostName: string; readonly random: Random };
  readonly report: SetAsideReporter;
  readonly faults?: FaultPoints;
}

/**
 * Opens the state folder, or makes it; apps that make it at the same time get one identity. Throws `state-unreadable` when the identity cannot
 * be read: a new one would make every record of this host somebody else's.
 */
export async function openHostState({ stateDir, defaults, report, faults }: OpenHostState): Promise<HostState> {
  const shared = { report, ...(faults === undefined ? {} : { faults }) };
  const identities = new DocumentStore({ ...shared, dir: stateDir, suffix: '.json', parse: parseIdentity, version: 1 });
  const identity = (await identities.read('host')) ?? (await identities.create('host', newIdentity(defaults)));
  const run = join(stateDir, 'run');
  return {
    identity,
    configs: new DomainConfigs({ ...shared, dir: join(stateDir, 'domains') }),
    statuses: new DomainStatuses({ ...shared, dir: run }),
    arrivals: arrivalsIn(run, shared),
    leaving: leavingIn(run, shared),
    folders: { run, migrations: join(stateDir, 'migrations'), locks: join(stateDir, 'locks'), labels: join(stateDir, 'labels') },
  };
}

function newIdentity({ hostName, random }: OpenHostState['defaults']): HostIdentity {
  if (!isHostName(hostName)) {
    throw new VmferryError(
      'invalid-argument',
      `${JSON.stringify(hostName)} is no host name: use 1 to 255 printable ASCII characters without blanks.`,
    );
  }
  return { hostName, hostUuid: random.uuid(), storeId: random.hex(16) };
}

function parseIdentity(value: unknown): HostIdentity {
  if (typeof value !== 'object' || value === null || !('hostName' in value) || !('hostUuid' in value) || !('storeId' in value)) {
    throw new Error('hostName, hostUuid or storeId is missing');
  }
  const { hostName, hostUuid, storeId } = value;
  if (typeof hostName !== 'string' || !isHostName(hostName)) throw new Error('hostName is no host name');
  if (typeof hostUuid !== 'string' || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(hostUuid))
    throw new Error('hostUuid is no uuid');
  if (typeof storeId !== 'string' || !/^[0-9a-f]{32}$/.test(storeId)) throw new Error('storeId is not 32 hex digits');
  return { hostName, hostUuid, storeId };
}

function isHostName(name: string): boolean {
  return /^[!-~]{1,255}$/.test(name);
}
