import { VmferryError } from '@vmferry/errors';
import { type Clock, sleep } from '@vmferry/seams';
import { HeldResources } from '../held-resources.js';
import { type LeaseRecord, neverOwned } from '../lease-record.js';
import { acquired, broken } from '../lease-rules.js';
import {
  checkProof,
  checkResources,
  type FencingProof,
  type LockDriver,
  type LockState,
  type ResourceId,
} from '../lock-driver.js';
import { freeStateOf, resourceKey, stateOf } from '../lock-state.js';
import { refusedBySanlock, SanlockClient, sanlockCode } from './sanlock-client.js';
import { type Leader, lockspace, nameOf, SanlockLeases } from './sanlock-leases.js';

export interface SanlockOptions {
  /** Shared by all hosts, on a file system with direct I/O; an absolute path without blanks, colons and backslashes. */
  readonly folder: string;
  /** Of this host in the lockspace, 1 to 2,000; each host has its own for good. */
  readonly hostId: number;
  /** Where the socket of the daemon is; null for sanlock's default. */
  readonly runDir: string | null;
  /** Goes without a watchdog: then a host that lost its storage runs its guests on while others take their leases. */
  readonly allowNoWatchdog: boolean;
  readonly hostUuid: string;
  readonly clock: Clock;
}

const hostIdMax = 2_000;
/** sanlock's own limit for one process. */
const resourcesMax = 8;
/** How long a refusal is asked about again that may be over in a moment: a ballot that was lost, a lease that the daemon is just freeing. */
const attemptsMax = 20;
const againMs = 100;
/** Two agents of a host join at once: the second one waits for the first. */
const joinMsMax = 180_000;
const watchMs = 2_000;

/** Refusals after which the lease is looked at anew; the look says who has it. */
const moved: readonly number[] = [
  sanlockCode.again,
  sanlockCode.exists,
  sanlockCode.staleLver,
  sanlockCode.heldByLiving,
  sanlockCode.lostBallot,
];

/** A lease as it was seen. `mine`: the registered QEMU of this host has it. */
interface Seen {
  readonly resource: ResourceId;
  readonly record: LeaseRecord;
  readonly mine: boolean;
  /** Whoever had it last was this host. */
  readonly lastMine: boolean;
}

/**
 * Leases of sanlock: a Disk Paxos lease for each resource on shared storage, had by the QEMU process itself, so that it outlives the agent and ends with
 * QEMU. The epoch is sanlock's lver, and every acquire names the one that it was decided by. The watchdog resets a host that cannot renew
 * its leases; another host gets them 140 s after the last renewal (with sanlock's default timeouts).
 */
export class SanlockLocks implements LockDriver {
  readonly name = 'sanlock';
  readonly usesState = true;
  readonly canTransferAtomically = false;
  readonly fences: 'watchdog' | 'none';
  readonly launcher: readonly string[];
  readonly #options: SanlockOptions;
  readonly #client: SanlockClient;
  readonly #leases: SanlockLeases;
  readonly #pids = new Map<string, number>();
  readonly #held: HeldResources;
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(options: SanlockOptions) {
    this.#options = options;
    this.#client = new SanlockClient(options.runDir);
    this.#leases = new SanlockLeases(options.folder, this.#client, options.hostUuid);
    this.#held = new HeldResources(options.hostUuid);
    this.fences = options.allowNoWatchdog ? 'none' : 'watchdog';
    // The daemon knows a process by the connection that it made itself, and QEMU keeps: whoever connects becomes QEMU by exec.
    const toDaemon = options.runDir === null ? [] : [`SANLOCK_RUN_DIR=${options.runDir}`];
    this.launcher = ['env', ...toDaemon, 'sanlock', 'client', 'command', '-c', '/usr/bin/env', '-u', 'SANLOCK_RUN_DIR'];
  }

  /** Joins the lockspace, which takes 30 s when this host was not in it. Throws `invalid-argument`, `lease-unavailable`. */
  static async open(options: SanlockOptions): Promise<SanlockLocks> {
    const { folder, hostId, runDir } = options;
    const word = /^\/[^\s:\\]{1,900}$/;
    if (!word.test(folder) || (runDir !== null && !word.test(runDir)))
      throw refused('the folders of sanlock are absolute paths of at most 900 characters without blanks, colons and backslashes');
    if (!Number.isInteger(hostId) || hostId < 1 || hostId > hostIdMax) throw refused(`a host id is 1 to ${hostIdMax}`);
    const locks = new SanlockLocks(options);
    await locks.#requireWatchdog();
    await locks.#leases.open();
    await locks.#leases.claim(hostId);
    await locks.#join();
    return locks;
  }

  liveLock(): Promise<null> {
    return Promise.resolve(null);
  }

  /** The process has registered itself when it was launched; from here on the leases of this guest are had by it. */
  register(vm: string, pid: number): Promise<void> {
    this.#pids.set(vm, pid);
    return Promise.resolve();
  }

  acquire(vm: string, resources: readonly ResourceId[], expect?: LockState): Promise<LockState> {
    return this.#inTurn(resources, () => this.#acquire(vm, resources, () => expect));
  }

  release(vm: string, resources: readonly ResourceId[]): Promise<LockState> {
    return this.#inTurn(resources, async () => {
      const seen = await this.#look(vm, resources);
      const mine = seen.filter((each) => each.mine);
      if (mine.length > 0) await this.#free(vm, mine);
      const records = (await this.#look(vm, resources)).map(({ record }) => record);
      return freeStateOf(this.name, resources, records);
    });
  }

  async inquire(vm: string, resources: readonly ResourceId[]): Promise<{ state: LockState; heldByMe: boolean }> {
    return this.#inTurn(resources, async () => {
      const seen = await this.#look(vm, resources);
      return { state: this.#stateOf(seen), heldByMe: seen.every(({ mine }) => mine) };
    });
  }

  transfer(): Promise<LockState> {
    const detail = 'sanlock cannot move a lease to another host at once; the one frees it and the other takes it.';
    return Promise.reject(new VmferryError('internal', detail));
  }

  /**
   * Finish: takes what the source has freed at the epoch of its cookie. Idempotent: a lease is had by one QEMU, and this one came to be for this migration.
   * Accepts also what this host itself has freed since: whoever reclaims a lease becomes the last to have had it (locking, 4.5).
   */
  adopt(vm: string, resources: readonly ResourceId[], offered: LockState): Promise<LockState> {
    return this.#inTurn(resources, async () => {
      const seen = await this.#look(vm, resources);
      if (seen.every(({ mine }) => mine)) return this.#stateOf(seen);
      return this.#acquire(vm, resources, (now) => returnedSince(offered, now));
    });
  }

  /**
   * sanlock itself is asked whether the owner lives: of one that does no lease is broken, whatever the proof, and one that is dead loses it to a process
   * that acquires at this epoch and ends. Throws also `lease-busy`.
   */
  async breakLock(
    vm: string,
    resources: readonly ResourceId[],
    epoch: string,
    proof: FencingProof,
    actor: string,
  ): Promise<LockState> {
    checkProof(proof, actor);
    return this.#inTurn(resources, async () => {
      const seen = await this.#look(vm, resources);
      for (const { resource, record } of seen) {
        broken(epoch)(resource, record);
        acquired('', undefined)(resource, record);
      }
      const words = seen.flatMap(({ resource, record }) => ['-r', this.#leases.wordOf(resource, record.epoch)]);
      const { code } = await this.#client.ask('client', 'command', ...words, '-c', '/bin/true');
      if (code !== 0) throw refusedBySanlock(`the lease of ${resources.map(resourceKey).join(', ')} is broken`, code);
      const records = seen.map(({ record }) => ({ ...record, owner: null, epoch: record.epoch + 1n }));
      return stateOf(this.name, resources, records);
    });
  }

  watch(lost: (resource: ResourceId) => void): Disposable {
    const every = { clock: this.#options.clock, everyMs: watchMs };
    return this.#held.watch(every, async (resource) => (await this.#seen(resource, new Set())).record, lost);
  }

  /** Asks for what nobody has at the very lver that was seen, and gives what this QEMU has already a new one. */
  async #acquire(
    vm: string,
    resources: readonly ResourceId[],
    expected: (seen: readonly Seen[]) => LockState | undefined,
  ): Promise<LockState> {
    const pid = this.#pidOf(vm);
    await this.#leases.make(resources);
    for (let attempt = 1; ; attempt += 1) {
      const seen = await this.#look(vm, resources);
      const expect = expected(seen);
      for (const { resource, record } of seen) acquired(this.#options.hostUuid, expect)(resource, record);
      const free = seen.filter(({ mine }) => !mine);
      const words = free.flatMap(({ resource, record }) => ['-r', this.#leases.wordOf(resource, record.epoch)]);
      const code = free.length === 0 ? 0 : (await this.#client.ask('client', 'acquire', ...words, '-p', pid)).code;
      if (code === 0) {
        await this.#renew(vm, pid, seen, free);
        return this.#stateOf(await this.#look(vm, resources));
      }
      if (code === sanlockCode.noProcess) throw notRegistered(vm, pid);
      if (!moved.includes(code) || attempt === attemptsMax)
        throw refusedBySanlock(`the lease of ${resources.map(resourceKey).join(', ')} is acquired`, code);
      await sleep(this.#options.clock, againMs);
    }
  }

  /** Through shared mode and back, which keeps others out and counts the lver on: it is never free meanwhile. */
  async #renew(vm: string, pid: string, seen: readonly Seen[], taken: readonly Seen[]): Promise<void> {
    for (const { resource } of seen.filter(({ mine }) => mine)) {
      const convert = (mode?: 'SH') =>
        this.#client.ask('client', 'convert', '-r', this.#leases.wordOf(resource, mode), '-p', pid);
      await convert('SH'); // One that an agent has left so when it ended is refused here, and is converted back all the same.
      let { code } = await convert();
      for (let attempt = 1; moved.includes(code) && attempt < attemptsMax; attempt += 1) {
        await sleep(this.#options.clock, againMs);
        code = (await convert()).code;
      }
      if (code === 0) continue;
      if (taken.length > 0) await this.#free(vm, taken);
      throw refusedBySanlock(`the lease of ${resourceKey(resource)} is acquired anew`, code);
    }
  }

  async #free(vm: string, seen: readonly Seen[]): Promise<void> {
    this.#held.forget(seen.map(({ resource }) => resource));
    const words = seen.flatMap(({ resource }) => ['-r', this.#leases.wordOf(resource)]);
    const { code } = await this.#client.ask('client', 'release', ...words, '-p', this.#pidOf(vm));
    if (code !== 0)
      throw refusedBySanlock(`the lease of ${seen.map((each) => resourceKey(each.resource)).join(', ')} is freed`, code);
  }

  async #look(vm: string, resources: readonly ResourceId[]): Promise<Seen[]> {
    const had = await this.#hadBy(vm);
    const seen = await Promise.all(resources.map((resource) => this.#seen(resource, had)));
    const mine = seen.filter((each) => each.mine);
    this.#held.remember(
      mine.map(({ resource }) => resource),
      mine.map(({ record }) => record),
    );
    return seen;
  }

  async #seen(resource: ResourceId, had: ReadonlySet<string>): Promise<Seen> {
    const { hostId, hostUuid } = this.#options;
    const leader = await this.#leases.leader(resource);
    if (leader === null) return { resource, record: neverOwned, mine: false, lastMine: false };
    const [mine, lastMine] = [had.has(nameOf(resource)), leader.hostId === hostId];
    const owner = async () => {
      if (mine || (leader.held && lastMine)) return hostUuid;
      return !leader.held || (await this.#isOver(leader)) ? null : this.#leases.hostOf(leader.hostId);
    };
    return { resource, record: { owner: await owner(), epoch: leader.lver, migrationId: null }, mine, lastMine };
  }

  /** The names of the leases that the QEMU of this guest has; none when the daemon does not know it. */
  async #hadBy(vm: string): Promise<ReadonlySet<string>> {
    const pid = this.#pids.get(vm);
    if (pid === undefined) return new Set();
    const { code, output } = await this.#client.ask('client', 'inquire', '-p', String(pid));
    if (code === sanlockCode.noProcess) return new Set();
    if (code !== 0) throw refusedBySanlock(`it is asked for the leases of process ${pid}`, code);
    return new Set([...output.matchAll(new RegExp(`${lockspace}:([A-Za-z0-9.-]+):`, 'g'))].map(([, name = '']) => name));
  }

  /** That this life of the owning host has ended is sanlock's to say: it is dead, has left the lockspace, or has come back since. */
  async #isOver({ hostId, generation }: Leader): Promise<boolean> {
    const { code, output } = await this.#client.ask('client', 'gets', '-h', '1');
    if (code !== 0) throw refusedBySanlock('it is asked which hosts live', code);
    const ours = output.split(/^s /m).find((part) => part.startsWith(`${lockspace}:`)) ?? '';
    const [, now, state] = new RegExp(`^h ${hostId} gen (\\d+) timestamp \\d+ (\\w+)`, 'm').exec(ours) ?? [];
    return now !== undefined && (Number(now) > generation || state === 'DEAD' || state === 'FREE');
  }

  async #requireWatchdog(): Promise<void> {
    const { code, output } = await this.#client.ask('client', 'status', '-D');
    if (code !== 0) throw refusedBySanlock('its daemon is asked for its options', code);
    if (this.#options.allowNoWatchdog || /^\s*use_watchdog=1$/m.test(output)) return;
    throw refused(
      'the sanlock daemon of this host uses no watchdog, so that nothing ends its guests when others take their leases; start it with -w 1 and wdmd, or give --sanlock-no-watchdog',
    );
  }

  async #join(): Promise<void> {
    const { clock, hostId } = this.#options;
    const word = this.#leases.lockspaceOf(hostId);
    const deadlineMs = clock.monotonicMs() + joinMsMax;
    const { code } = await this.#client.ask('client', 'add_lockspace', '-s', word);
    if (code === 0 || code === sanlockCode.exists) return;
    if (code === sanlockCode.hostIdBusy) throw refused(`another machine is in the lockspace with the sanlock host id ${hostId}`);
    if (code !== sanlockCode.inProgress) throw refusedBySanlock(`the lockspace is joined (${word})`, code);
    while (clock.monotonicMs() < deadlineMs) {
      const joined = await this.#client.ask('client', 'inq_lockspace', '-s', word);
      if (joined.code === 0) return;
      if (joined.code !== sanlockCode.inProgress) throw refusedBySanlock(`the lockspace is joined (${word})`, joined.code);
      await sleep(clock, againMs);
    }
    throw refusedBySanlock(`the lockspace is joined (${word})`, code);
  }

  /** As the words of sanlock take it. */
  #pidOf(vm: string): string {
    const pid = this.#pids.get(vm);
    if (pid !== undefined) return String(pid);
    throw new VmferryError('lease-unavailable', `No QEMU of guest ${vm} is known that could have its lease.`);
  }

  #stateOf(seen: readonly Seen[]): LockState {
    return stateOf(
      this.name,
      seen.map(({ resource }) => resource),
      seen.map(({ record }) => record),
    );
  }

  /** One operation at a time in this agent; sanlock is the arbiter between agents and hosts. */
  async #inTurn<R>(resources: readonly ResourceId[], act: () => Promise<R>): Promise<R> {
    checkResources(resources, resourcesMax);
    const mine = this.#tail.then(act);
    this.#tail = mine.catch(() => undefined);
    return mine;
  }
}

/** What was offered, moved on where this host has had the lease since, freed it, and was the last. */
function returnedSince(offered: LockState, seen: readonly Seen[]): LockState {
  const returned = seen.filter(({ record, lastMine }) => record.owner === null && lastMine);
  const grants = offered.grants.map((grant) => {
    const again = returned.find(({ resource }) => resourceKey(resource) === grant.key);
    return again !== undefined && again.record.epoch > BigInt(grant.epoch)
      ? { ...grant, epoch: String(again.record.epoch) }
      : grant;
  });
  return { ...offered, grants };
}

function notRegistered(vm: string, pid: string): VmferryError {
  const detail = `sanlock does not know process ${pid} of guest ${vm}: it was not started by this host's agents with this lock driver, or the daemon was restarted since.`;
  return new VmferryError('lease-unavailable', detail, { data: { pid: Number(pid) } });
}

function refused(reason: string): VmferryError {
  return new VmferryError('invalid-argument', `The lock driver sanlock cannot be opened: ${reason}.`);
}
