export { createDurably, removeDurably, sweepTemporaries, syncFolder, writeDurably } from './durable-file.js';
export { EmbeddedLocks, type EmbeddedOptions, vmResource } from './embedded.js';
export { EtcdLocks, type EtcdLocksOptions } from './etcd/etcd-locks.js';
export type { EtcdOptions } from './etcd/etcd-store.js';
export { type LeaseHandover, reclaimLease, returnLease, takeLease } from './handover.js';
export type { FencingProof, LockDriver, LockState, ResourceId } from './lock-driver.js';
export { decodeLockState, encodeLockState, resourceKey } from './lock-state.js';
export { noLocks } from './none.js';
export { SanlockLocks, type SanlockOptions } from './sanlock/sanlock-locks.js';
