import { VmferryError } from '@vmferry/errors';

/**
 * The seam between the agents and whatever arbitrates who may run a guest. Every driver passes the same checks
 * (`lockDriverContract`).
 */
export interface ResourceId {
  readonly kind: 'vm' | 'disk' | 'lease';
  /** For `vm` its uuid; for a disk something stable: a hash of its real path, a WWN, an RBD spec. 1 to 1,024 characters. */
  readonly key: string;
}

/** What must be known to take the resources again; goes into the cookie and into state files, as text (`encodeLockState`). */
export interface LockState {
  readonly driver: string;
  readonly v: 1;
  /** `key` is `KIND:KEY`; `epoch` a whole number as text. */
  readonly grants: readonly { readonly key: string; readonly epoch: string }[];
}

/** Why it is safe to take a lease from an owner that does not answer. A lease that ran out is no proof. */
export type FencingProof =
  | { readonly t: 'fenced'; readonly by: string }
  | { readonly t: 'watchdog'; readonly by: string }
  | { readonly t: 'operator'; readonly statement: string };

/**
 * Resources are taken all or none. An epoch counts the changes of owner of one resource and only grows (I4). Every method throws
 *
 * - `lease-busy` with `data: {resource, owner, epoch}` when another owner holds it: at once, it never waits for one;
 * - `lease-stale` with `data: {resource, expected, current}` when the lease has moved on since the state that was given;
 * - `lease-unavailable` when the store does not answer. No `cont` then; a guest that runs goes on.
 */
export interface LockDriver {
  readonly name: string;
  /** Whether the state of the one host is what the other needs to acquire. When false, `acquire` at a peer takes no `expect`. */
  readonly usesState: boolean;
  readonly canTransferAtomically: boolean;
  readonly fences: 'none' | 'watchdog' | 'callback';
  /** What QEMU's own command line is executed behind, each word's program becoming the next by exec; none for a driver that QEMU need not know. */
  readonly launcher: readonly string[];
  /** The descriptor whose flock QEMU inherits at spawn, or null when this driver ties nothing to the process. The caller closes its copy. */
  liveLock(vm: string): Promise<number | null>;
  /** Ties the resources to the QEMU process; takes no lease yet. */
  register(vm: string, pid: number, resources: readonly ResourceId[]): Promise<void>;
  /** Takes free resources, or takes those of this host anew; each epoch grows by one. */
  acquire(vm: string, resources: readonly ResourceId[], expect?: LockState): Promise<LockState>;
  /** Frees what this host owns and leaves the rest alone; the state holds the grants that can be acquired again. Idempotent. */
  release(vm: string, resources: readonly ResourceId[]): Promise<LockState>;
  /** Reads, and changes nothing. */
  inquire(vm: string, resources: readonly ResourceId[]): Promise<{ state: LockState; heldByMe: boolean }>;
  /**
   * Moves ownership from one host to the other with no gap. Idempotent for one `migrationId`; accepts also the epoch that this
   * migration's own return wrote, as long as the owner has not acquired since (locking, 4.5).
   */
  transfer(
    vm: string,
    resources: readonly ResourceId[],
    from: { readonly host: string; readonly state: LockState },
    to: string,
    migrationId: string,
  ): Promise<LockState>;
  /**
   * Finish, with a driver that cannot move a lease: the destination goes on from what the cookie offers. Idempotent for one `migrationId`. Absent: it
   * acquires at the epoch that was offered.
   */
  adopt?(vm: string, resources: readonly ResourceId[], offered: LockState, migrationId: string): Promise<LockState>;
  /** Frees what an owner that was fenced holds at `epoch`. Throws `lease-busy` where the driver knows that this owner lives. */
  breakLock(vm: string, resources: readonly ResourceId[], epoch: string, proof: FencingProof, actor: string): Promise<LockState>;
  /** Calls back when a resource that this host held has another owner. */
  watch(lost: (resource: ResourceId) => void): Disposable;
}

const resourcesMax = 64;
const reasonCharactersMax = 1_024;

/** Throws `invalid-argument` for none and for more than `max`. */
export function checkResources(resources: readonly ResourceId[], max = resourcesMax): void {
  if (resources.length >= 1 && resources.length <= max) return;
  const detail = `A lease is taken for 1 to ${max} resources, not for ${resources.length}.`;
  throw new VmferryError('invalid-argument', detail);
}

/** Throws `invalid-argument` for a proof or an actor that says nothing. */
export function checkProof(proof: FencingProof, actor: string): void {
  const reason = proof.t === 'operator' ? proof.statement : proof.by;
  if (reason.trim() !== '' && reason.length <= reasonCharactersMax && actor.trim() !== '') return;
  throw new VmferryError('invalid-argument', 'To break a lease, say who does it and on what proof (1 to 1,024 characters).');
}
