import { VmferryError } from '@vmferry/errors';
import type { LeaseRecord } from './lease-record.js';
import type { LockState, ResourceId } from './lock-driver.js';
import { resourceKey } from './lock-state.js';

/** The pure half of the embedded driver: what each operation makes of a record, or why it refuses (locking, section 4). */
export type LeaseRule = (resource: ResourceId, record: LeaseRecord) => LeaseRecord;

/** A new epoch also when it was ours before: a late Finish that knows the old one must fail. */
export function acquired(me: string, expect: LockState | undefined): LeaseRule {
  return (resource, record) => {
    refuseOtherOwner(resource, record, me);
    if (expect !== undefined && record.epoch !== epochIn(expect, resource)) throw stale(resource, record, expect);
    return { owner: me, epoch: record.epoch + 1n, migrationId: null };
  };
}

/** The epoch stays: it is what the owner must know to acquire again. */
export function released(me: string): LeaseRule {
  return (_, record) => (record.owner === me ? { ...record, owner: null } : record);
}

export function transferred(from: { host: string; state: LockState }, to: string, migrationId: string): LeaseRule {
  return (resource, record) => {
    const epoch = epochIn(from.state, resource);
    const movedByThis = record.migrationId === migrationId && epoch !== null && record.epoch > epoch;
    if (record.owner === to && movedByThis) return record;
    if (record.owner !== null && record.owner !== from.host) throw busy(resource, record, record.owner);
    if (record.owner === null || (record.epoch !== epoch && !movedByThis)) throw stale(resource, record, from.state);
    return { owner: to, epoch: record.epoch + 1n, migrationId };
  };
}

/** Scope `host`: the other host's epoch goes on here. The outcome record is the guard between the hosts. */
export function adopted(me: string, cookie: LockState, migrationId: string): LeaseRule {
  return (resource, record) => {
    const epoch = epochIn(cookie, resource);
    if (epoch === null) throw stale(resource, record, cookie);
    const movedByThis = record.migrationId === migrationId && record.epoch > epoch;
    if (record.owner === me && movedByThis) return record;
    refuseOtherOwner(resource, record, me);
    if (movedByThis) return { owner: me, epoch: record.epoch + 1n, migrationId };
    if (record.epoch > epoch) throw stale(resource, record, cookie);
    return { owner: me, epoch: epoch + 1n, migrationId };
  };
}

export function broken(epoch: string): LeaseRule {
  return (resource, record) => {
    if (String(record.epoch) !== epoch) throw staleEpoch(resource, record, epoch);
    return { owner: null, epoch: record.epoch + 1n, migrationId: null };
  };
}

function refuseOtherOwner(resource: ResourceId, record: LeaseRecord, me: string): void {
  if (record.owner !== null && record.owner !== me) throw busy(resource, record, record.owner);
}

function epochIn(state: LockState, resource: ResourceId): bigint | null {
  const key = resourceKey(resource);
  const grant = state.grants.find((each) => each.key === key);
  return grant === undefined ? null : BigInt(grant.epoch);
}

function busy(resource: ResourceId, record: LeaseRecord, owner: string): VmferryError {
  const key = resourceKey(resource);
  return new VmferryError('lease-busy', `Host ${owner} holds the lease of ${key} at epoch ${record.epoch}.`, {
    data: { resource: key, owner, epoch: String(record.epoch) },
  });
}

function stale(resource: ResourceId, record: LeaseRecord, expect: LockState): VmferryError {
  return staleEpoch(resource, record, String(epochIn(expect, resource) ?? 'none'));
}

function staleEpoch(resource: ResourceId, record: LeaseRecord, expected: string): VmferryError {
  const key = resourceKey(resource);
  const owner = record.owner === null ? 'nobody' : `host ${record.owner}`;
  return new VmferryError(
    'lease-stale',
    `The lease of ${key} is at epoch ${record.epoch} and held by ${owner}; epoch ${expected} was expected.`,
    {
      data: { resource: key, expected, current: String(record.epoch) },
    },
  );
}
