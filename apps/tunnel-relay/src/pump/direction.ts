import { readSync, writeSync } from 'node:fs';
import { shutdownFd, splice, systemCallFailure } from '@vmferry/posix';
import type { SharedCounters } from './counters.js';
import { Pace, Turns } from './pace.js';
import type { DirectionName, Side, WorkerEnd } from './pump-end.js';

/** What a direction needs to move bytes; plain data, so that it can be sent to the worker. */
export interface DirectionJob {
  readonly name: DirectionName;
  readonly from: { readonly side: Side; readonly fd: number };
  readonly to: { readonly side: Side; readonly fd: number };
  readonly pipe: { readonly read: number; readonly write: number; readonly bytesMax: number };
  /** Bytes of `from` that were read before the pump took over; they go first. */
  readonly head: Uint8Array;
  /** The memory of the two rates that it keeps: the stream's and the relay's. */
  readonly paces: { readonly own: SharedArrayBuffer; readonly shared: SharedArrayBuffer };
}

/**
 * A direction fills its pipe only when the pipe is empty. So `again` never has two meanings: while filling it is the sender who
 * has nothing, while draining the receiver who takes nothing. One thread does both, so filling and draining at once would gain
 * nothing.
 */
type State = { readonly t: 'filling' } | { readonly t: 'draining'; readonly inPipe: number } | { readonly t: 'ended' };

/**
 * `moved`: call again. `readable`, `writable`: nothing can move before `from` is readable, `to` is writable. `paced`: what is in the
 * pipe may go after `waitMs`.
 */
export type Progress = 'moved' | 'readable' | 'writable' | 'paced' | 'ended';

/** A connection broke; `end` is what the pump ends with. */
export class ConnectionBroke extends Error {
  constructor(readonly end: Extract<WorkerEnd, { t: 'failed' }>) {
    super(`${end.side}: ${end.name}`);
  }
}

/** What `splice` says of a kernel, a sandbox or a kind of socket that it does not work with, whatever the connection's state. */
const refusals: readonly string[] = ['EINVAL', 'ENOSYS', 'EOPNOTSUPP', 'EPERM', 'EBADF'];

/** The kernel does not splice these sockets; the message is what it says instead. */
export class SpliceRefused extends Error {}

export class Direction {
  #state: State = { t: 'filling' };
  #head: Uint8Array;
  readonly #turns: Turns;

  constructor(
    readonly job: DirectionJob,
    private readonly counters: SharedCounters,
  ) {
    this.#head = job.head;
    this.#turns = new Turns(new Pace(job.paces.own), new Pace(job.paces.shared));
  }

  get waitMs(): number {
    return this.#turns.waitMs;
  }

  /** Moves what can be moved by one call, without blocking. Throws `ConnectionBroke`. */
  step(): Progress {
    switch (this.#state.t) {
      case 'filling':
        return this.#fill();
      case 'draining':
        return this.#drain(this.#state.inPipe);
      case 'ended':
        return 'ended';
    }
  }

  /** What was taken and not passed on: the pipe is emptied. Only instead of a further step. */
  takeBack(): Uint8Array {
    const inPipe = Buffer.alloc(this.#state.t === 'draining' ? this.#state.inPipe : 0);
    if (inPipe.length > 0) readSync(this.job.pipe.read, inPipe);
    return Buffer.concat([inPipe, this.#head]);
  }

  #fill(): Progress {
    const bytesMax = Math.min(this.job.pipe.bytesMax, this.#turns.bytesMax);
    if (this.#head.length > 0) {
      // The pipe is empty and holds whole pages, so this part of the head fits and the write does not block.
      const written = writeSync(this.job.pipe.write, this.#head, 0, Math.min(this.#head.length, bytesMax));
      this.#head = this.#head.subarray(written);
      return this.#filled(written);
    }
    const { from, to, pipe } = this.job;
    this.counters.countSplice();
    const taken = this.#on(from.side, () => splice(from.fd, pipe.write, bytesMax));
    if (taken === 'again') return 'readable';
    if (taken > 0) return this.#filled(taken);
    // The pipe is empty: every byte before this end is with the kernel, so the half-close comes after the last byte.
    this.#on(to.side, () => shutdownFd(to.fd, 'write'));
    this.#state = { t: 'ended' };
    return 'moved';
  }

  #filled(inPipe: number): Progress {
    this.#turns.take(inPipe);
    this.#state = { t: 'draining', inPipe };
    return 'moved';
  }

  #drain(inPipe: number): Progress {
    if (this.waitMs > 0) return 'paced';
    const { to, pipe, name } = this.job;
    this.counters.countSplice();
    const given = this.#on(to.side, () => splice(pipe.read, to.fd, inPipe));
    if (given === 'again') return 'writable';
    this.counters.countBytes(name, given);
    this.#state = given === inPipe ? { t: 'filling' } : { t: 'draining', inPipe: inPipe - given };
    return 'moved';
  }

  #on<T>(side: Side, call: () => T): T {
    try {
      return call();
    } catch (thrown) {
      const failure = systemCallFailure(thrown);
      if (failure === null) throw thrown;
      if (failure.call === 'splice' && refusals.includes(failure.name)) throw new SpliceRefused(failure.name);
      throw new ConnectionBroke({ t: 'failed', side, direction: this.job.name, errno: failure.errno, name: failure.name });
    }
  }
}
