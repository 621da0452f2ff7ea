import type { LockDriver, LockState } from './lock-driver.js';

const nothing: LockState = { driver: 'none', v: 1, grants: [] };

/** Arbitrates nothing (libvirt's nop). The outcome record of a migration is then the only guard, and the API says so. */
export const noLocks: LockDriver = {
  name: 'none',
  usesState: false,
  canTransferAtomically: false,
  fences: 'none',
  launcher: [],
  liveLock: () => Promise.resolve(null),
  register: () => Promise.resolve(),
  acquire: () => Promise.resolve(nothing),
  release: () => Promise.resolve(nothing),
  inquire: () => Promise.resolve({ state: nothing, heldByMe: true }),
  transfer: () => Promise.resolve(nothing),
  breakLock: () => Promise.resolve(nothing),
  watch: () => ({ [Symbol.dispose]: () => undefined }),
};
