import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type AsyncJobHandle, DomainJobs, type Release } from './domain-jobs.js';
import type { AsyncJob, PlainJob } from './job-state.js';
import { VirtualClock } from './virtual-clock.spec-helper.js';

/** The masks of libvirt-protocol, A4, as its numbers: an account of the rules that shares nothing with the code under test. */
const bit: Record<PlainJob, number> = { query: 0x1, destroy: 0x2, suspend: 0x4, modify: 0x8, abort: 0x10, 'migration-op': 0x20 };
const maskOf: Record<AsyncJob, number> = { 'migration-out': 0x37, 'migration-in': 0x2, save: 0x13, dump: 0x13 };

type Asked = { t: 'plain'; job: PlainJob } | { t: 'async'; kind: AsyncJob } | { t: 'nested'; of: number };
interface Expected {
  readonly asked: Asked;
  readonly deadlineMs: number;
  status: 'waits' | 'runs' | 'ended' | 'refused';
}

/** What must be true of every schedule, computed by brute force over the whole list after each step. */
class Model {
  readonly requests: Expected[] = [];
  nowMs = 0;
  mask = 0;
  guestAlive = true;

  sync(): Expected | undefined {
    return this.requests.find(({ asked, status }) => asked.t !== 'async' && status === 'runs');
  }

  async(): Expected | undefined {
    return this.requests.find(({ asked, status }) => asked.t === 'async' && status === 'runs');
  }

  settle(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const request of this.requests.filter(({ status }) => status === 'waits')) {
        const next = this.judge(request.asked);
        if (next === 'waits') continue;
        request.status = next;
        if (next === 'runs' && request.asked.t === 'async') this.mask = maskOf[request.asked.kind];
        moved = true;
      }
    }
  }

  expire(): void {
    for (const request of this.requests)
      if (request.status === 'waits' && request.deadlineMs <= this.nowMs) request.status = 'refused';
  }

  private judge(asked: Asked): Expected['status'] {
    const active = this.async();
    const kind = active?.asked.t === 'async' ? active.asked.kind : undefined;
    const turn = this.sync() === undefined ? 'runs' : 'waits';
    if (asked.t === 'async') return active === undefined ? turn : 'waits';
    if (asked.t === 'nested' && !this.guestAlive) return 'refused';
    if (asked.t === 'nested') return active !== undefined && this.requests.indexOf(active) === asked.of ? turn : 'refused';
    if (asked.job === 'abort' && (kind === undefined || kind === 'migration-in')) return 'refused';
    if (asked.job === 'migration-op' && kind !== 'migration-out') return 'refused';
    return kind !== undefined && (this.mask & bit[asked.job]) === 0 ? 'waits' : turn;
  }
}

/** The real thing beside the model: the n-th request of one is the n-th of the other. */
class Bench {
  readonly clock = new VirtualClock();
  readonly jobs = new DomainJobs({ clock: this.clock, domain: 'web', onChange: () => Promise.resolve() });
  readonly model = new Model();
  readonly status: Expected['status'][] = [];
  readonly held: (Release | AsyncJobHandle | undefined)[] = [];

  ask(asked: Asked): void {
    const index = this.model.requests.length;
    this.model.requests.push({ asked, deadlineMs: this.model.nowMs + 30_000, status: 'waits' });
    this.status.push('waits');
    this.#begin(asked).then(
      (held) => {
        this.held[index] = held;
        this.status[index] = 'runs';
      },
      () => {
        this.status[index] = 'refused';
      },
    );
  }

  #begin(asked: Asked): Promise<Release | AsyncJobHandle> {
    if (asked.t === 'plain') return this.jobs.begin(asked.job, 'someone');
    if (asked.t === 'async') return this.jobs.beginAsync(asked.kind, 'someone');
    const handle = this.held[asked.of];
    return this.jobs.nested(typeof handle === 'object' ? handle : { id: -1, kind: 'save' });
  }

  async end(request: Expected | undefined): Promise<void> {
    const held = this.forget(request);
    if (typeof held === 'function') await held();
    else if (held !== undefined) await this.jobs.endAsync(held);
  }

  /** It is over; what it held is the caller's to give back. */
  forget(request: Expected | undefined): Release | AsyncJobHandle | undefined {
    if (request === undefined) return undefined;
    const index = this.model.requests.indexOf(request);
    request.status = 'ended';
    this.status[index] = 'ended';
    return this.held[index];
  }

  /** Whoever ends what has ended already changes nothing, whatever has begun since. */
  async endAgain(index: number): Promise<void> {
    const held = this.status[index] === 'ended' ? this.held[index] : undefined;
    if (typeof held === 'function') await held();
    else if (held !== undefined) await this.jobs.endAsync(held);
  }

  async check(): Promise<void> {
    this.model.settle();
    await new Promise((resolve) => setImmediate(resolve));
    expect(this.status).toEqual(this.model.requests.map(({ status }) => status));
    expect(
      this.status.filter((status, index) => status === 'runs' && typeof this.held[index] === 'function').length,
    ).toBeLessThanOrEqual(1);
  }
}

const step = fc.oneof(
  fc.record({
    t: fc.constant('plain' as const),
    job: fc.constantFrom<PlainJob>('query', 'destroy', 'suspend', 'modify', 'abort', 'migration-op'),
  }),
  fc.record({
    t: fc.constant('async' as const),
    kind: fc.constantFrom<AsyncJob>('migration-out', 'migration-in', 'save', 'dump'),
  }),
  fc.record({ t: fc.constant('nested' as const), of: fc.nat(30) }),
  fc.record({ t: fc.constant('nested-now' as const) }),
  fc.record({ t: fc.constant('end-sync' as const) }),
  fc.record({ t: fc.constant('end-async' as const) }),
  fc.record({ t: fc.constant('discard' as const) }),
  fc.record({ t: fc.constant('end-again' as const), of: fc.nat(30) }),
  fc.record({ t: fc.constant('guest' as const), alive: fc.boolean() }),
  fc.record({ t: fc.constant('mask' as const), jobs: fc.subarray<PlainJob>(['query', 'suspend', 'modify', 'abort']) }),
  fc.record({ t: fc.constant('time' as const), ms: fc.constantFrom(1, 10_000, 30_000) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function take(bench: Bench, each: Step): Promise<void> {
  const { model, jobs, clock } = bench;
  const active = model.async();
  switch (each.t) {
    case 'plain':
    case 'async':
      return bench.ask(each);
    case 'nested':
      return bench.ask({ t: 'nested', of: each.of });
    case 'nested-now':
      return bench.ask({ t: 'nested', of: active === undefined ? 0 : model.requests.indexOf(active) });
    case 'end-sync':
      return bench.end(model.sync());
    case 'end-async':
      return bench.end(active);
    case 'discard':
      bench.forget(active);
      return jobs.discardAsync();
    case 'end-again':
      return bench.endAgain(each.of);
    case 'guest':
      model.guestAlive = each.alive;
      return jobs.setGuestAlive(each.alive);
    case 'mask':
      if (active === undefined || jobs.active === null) return;
      model.mask = each.jobs.reduce((mask, job) => mask | bit[job], bit.destroy);
      return jobs.setMask(jobs.active, each.jobs);
    case 'time':
      clock.advance(each.ms);
      model.nowMs += each.ms;
      return model.expire();
    default:
      return each satisfies never;
  }
}

it('S10: over random schedules: who runs, who waits and who is refused is what the masks say, and nobody is left behind', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const bench = new Bench();
      for (const each of steps) {
        await take(bench, each);
        await bench.check();
      }
      // No deadlock: when everybody who runs ends, everybody who waits gets a turn, without any time going by.
      while (bench.status.includes('waits') || bench.status.includes('runs')) {
        expect(bench.status).toContain('runs');
        await bench.end(bench.model.sync() ?? bench.model.async());
        await bench.check();
      }
      expect(bench.clock.timers).toBe(0);
      expect(bench.jobs.state).toEqual({ sync: null, async: null, guestAlive: bench.model.guestAlive });
    }),
    { numRuns: 300 },
  );
});
