import { beforeEach, describe, expect, it } from 'vitest';
import { DomainJobs } from './domain-jobs.js';
import { type JobState, type PlainJob, phases } from './job-state.js';
import { VirtualClock } from './virtual-clock.spec-helper.js';

let clock: VirtualClock;
let jobs: DomainJobs;
beforeEach(() => {
  clock = new VirtualClock();
  jobs = new DomainJobs({ clock, domain: 'web' });
});

/** Whether the promise has settled by now, without waiting for it. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  const mark = () => {
    done = true;
  };
  promise.then(mark, mark);
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

describe('DomainJobs', () => {
  it('S10: never runs two sync jobs at once', async () => {
    const first = await jobs.begin('modify', 'alice');
    const second = jobs.begin('query', 'bob');
    expect(await settled(second)).toBe(false);
    await first();
    await (await second)();
    expect(jobs.state.sync).toBeNull();
    expect(clock.timers).toBe(0);
  });

  it('S10: ending a sync job twice does not end that of somebody else', async () => {
    const first = await jobs.begin('modify', 'alice');
    await first();
    await jobs.begin('modify', 'bob');
    await first();
    expect(jobs.state.sync).toMatchObject({ owner: 'bob' });
    expect(await settled(jobs.begin('query', 'carol'))).toBe(false);
  });

  it('S10: checks the mask again after the wait: a modify does not slip in beside an async job that began meanwhile', async () => {
    const first = await jobs.begin('query', 'alice');
    const migration = jobs.beginAsync('migration-out', '10.0.0.1');
    const modify = jobs.begin('modify', 'bob');
    await first();
    const handle = await migration;
    expect(await settled(modify)).toBe(false);
    await jobs.endAsync(handle);
    await (await modify)();
  });

  it('S10: a nested job skips the mask but takes its turn', async () => {
    const handle = await jobs.beginAsync('migration-in', '10.0.0.1');
    await jobs.setMask(handle, []);
    const nested = await jobs.nested(handle);
    const destroy = jobs.begin('destroy', 'alice');
    const again = jobs.nested(handle);
    expect(await settled(destroy)).toBe(false);
    expect(await settled(again)).toBe(false);
    await nested();
    await (await destroy)();
    await (await again)();
  });

  const all: readonly PlainJob[] = ['query', 'destroy', 'suspend', 'modify', 'abort', 'migration-op'];
  it.each([
    ['migration-out', ['query', 'destroy', 'suspend', 'abort', 'migration-op'], ['modify'], []],
    ['migration-in', ['destroy'], ['query', 'suspend', 'modify'], ['abort', 'migration-op']],
    ['save', ['query', 'destroy', 'abort'], ['suspend', 'modify'], ['migration-op']],
    ['dump', ['query', 'destroy', 'abort'], ['suspend', 'modify'], ['migration-op']],
  ] as const)('S9: beside a %s run %j, wait %j, are refused %j', async (kind, run, wait, refused) => {
    await jobs.beginAsync(kind, '10.0.0.1');
    const outcome: Record<string, string> = {};
    for (const job of all) {
      const begun = jobs.begin(job, 'alice').then(
        async (release) => {
          await release();
          return 'run';
        },
        () => 'refused',
      );
      outcome[job] = (await settled(begun)) ? await begun : 'wait';
    }
    const expected = [
      ...run.map((job) => [job, 'run']),
      ...wait.map((job) => [job, 'wait']),
      ...refused.map((job) => [job, 'refused']),
    ];
    expect(outcome).toEqual(Object.fromEntries(expected));
    clock.advance(30_000);
  });

  it('S25: a query is answered while a migration runs, without a wait', async () => {
    const handle = await jobs.beginAsync('migration-out', '10.0.0.1');
    await (await jobs.nested(handle))();
    const query = jobs.begin('query', 'alice');
    expect(await settled(query)).toBe(true);
  });

  it('S16: an incoming migration says that it is incoming, and is not aborted but destroyed', async () => {
    const handle = await jobs.beginAsync('migration-in', '10.0.0.1');
    expect(jobs.info()).toMatchObject({ job: 'migration-in', type: 'unbounded' });
    await expect(jobs.begin('abort', 'alice')).rejects.toMatchObject({
      code: 'migration-live',
      message: expect.stringContaining('destroy') as string,
    });
    await jobs.setMask(handle, ['query']);
    const destroy = await jobs.begin('destroy', 'alice');
    await destroy();
  });

  it('S55: speed is set on an outgoing migration only', async () => {
    await expect(jobs.begin('migration-op', 'alice')).rejects.toMatchObject({ code: 'not-migrating' });
    const handle = await jobs.beginAsync('save', 'alice');
    await expect(jobs.begin('migration-op', 'alice')).rejects.toMatchObject({ code: 'not-migrating' });
    await jobs.endAsync(handle);
    await jobs.beginAsync('migration-out', 'alice');
    await (await jobs.begin('migration-op', 'alice'))();
  });

  it('refuses to abort when nothing is active, also what waited while it ended', async () => {
    await expect(jobs.begin('abort', 'alice')).rejects.toMatchObject({ code: 'no-active-job' });
    const handle = await jobs.beginAsync('dump', 'alice');
    const nested = await jobs.nested(handle);
    const abort = jobs.begin('abort', 'bob');
    await jobs.endAsync(handle);
    await expect(abort).rejects.toMatchObject({ code: 'no-active-job' });
    await nested();
  });

  it('S10: after 30 s the error names the holder and for how long it holds', async () => {
    await jobs.beginAsync('migration-out', '10.0.0.1');
    clock.advance(1_000);
    const modify = jobs.begin('modify', 'bob');
    modify.catch(() => undefined);
    clock.advance(29_999);
    expect(await settled(modify)).toBe(false);
    clock.advance(1);
    await expect(modify).rejects.toMatchObject({
      code: 'domain-busy',
      message: 'modify of bob waited 30 s for domain web: it is held by migration-out of 10.0.0.1 for 31 s. Try again later.',
      data: { domain: 'web', waitedMs: 30_000, holder: { job: 'migration-out', owner: '10.0.0.1', heldMs: 31_000 } },
    });
    const query = await jobs.begin('query', 'carol');
    const late = jobs.begin('query', 'bob');
    late.catch(() => undefined);
    clock.advance(30_000);
    await expect(late).rejects.toMatchObject({ data: { holder: { job: 'query', owner: 'carol', heldMs: 30_000 } } });
    await query();
    expect(jobs.state.sync).toBeNull();
  });

  it('refuses the 257th request that would wait', async () => {
    await jobs.begin('modify', 'alice');
    const waiting = Array.from({ length: 256 }, () => jobs.begin('query', 'bob').catch((error: unknown) => error));
    await expect(jobs.begin('query', 'carol')).rejects.toMatchObject({ code: 'too-many-requests' });
    clock.advance(30_000);
    expect(await Promise.all(waiting)).toHaveLength(256);
  });

  it('S19: a discarded async job lets destroy in, and its owner finds its handle stale', async () => {
    const handle = await jobs.beginAsync('migration-in', '10.0.0.1');
    const nested = await jobs.nested(handle);
    const waiting = jobs.nested(handle);
    await jobs.discardAsync();
    await expect(waiting).rejects.toMatchObject({ code: 'no-active-job' });
    await nested();
    await expect(jobs.nested(handle)).rejects.toMatchObject({ code: 'no-active-job' });
    await expect(jobs.phase(handle, 'finish3')).rejects.toMatchObject({ code: 'no-active-job' });
    await expect(jobs.setMask(handle, [])).rejects.toMatchObject({ code: 'no-active-job' });
    const next = await jobs.beginAsync('migration-in', '10.0.0.2');
    await jobs.endAsync(handle);
    const amount = { totalBytes: 1, processedBytes: 1, remainingBytes: 0 };
    const progress = { type: 'bounded', timeRemainingMs: 0, data: amount, memory: amount, file: amount } as const;
    await expect(jobs.nested(handle)).rejects.toMatchObject({ code: 'no-active-job' });
    await expect(jobs.phase(handle, 'finish3')).rejects.toMatchObject({ code: 'no-active-job' });
    await expect(jobs.setMask(handle, ['modify'])).rejects.toMatchObject({ code: 'no-active-job' });
    expect(() => jobs.report(handle, progress)).toThrow(/no longer active/);
    expect(jobs.state.async).toMatchObject({ id: next.id, phase: 'none', mask: ['destroy'] });
    expect(jobs.info()).toMatchObject({ type: 'unbounded' });
  });

  it('refuses nested jobs once the guest is gone, also those that wait', async () => {
    const handle = await jobs.beginAsync('migration-out', '10.0.0.1');
    const query = await jobs.begin('query', 'alice');
    const nested = jobs.nested(handle);
    jobs.setGuestAlive(false);
    await expect(nested).rejects.toMatchObject({ code: 'guest-gone' });
    await query();
  });

  it('I9: a phase goes on, stays, and never goes back', async () => {
    const handle = await jobs.beginAsync('migration-out', '10.0.0.1');
    for (const [index, phase] of phases.entries()) {
      await jobs.phase(handle, phase);
      await jobs.phase(handle, phase);
      for (const earlier of phases.slice(0, index))
        await expect(jobs.phase(handle, earlier)).rejects.toMatchObject({ code: 'phase-backward' });
      expect(jobs.info().phase).toBe(phase);
    }
  });

  it('tells the time that went by when it is asked, also for a job from before a restart', async () => {
    const startedAt = new Date(clock.wall().getTime() - 5_000);
    const handle = jobs.adoptAsync('migration-out', 'perform3', startedAt);
    clock.advance(700);
    expect(jobs.info()).toMatchObject({ type: 'unbounded', job: 'migration-out', phase: 'perform3', timeElapsedMs: 5_700 });
    const amount = { totalBytes: 10, processedBytes: 4, remainingBytes: 6 };
    jobs.report(handle, { type: 'bounded', timeRemainingMs: 90, data: amount, memory: amount, file: amount });
    expect(jobs.info()).toMatchObject({ type: 'bounded', timeRemainingMs: 90, memory: amount });
    await jobs.endAsync(handle);
    expect(jobs.info()).toMatchObject({ type: 'none', job: null, phase: 'none', timeElapsedMs: 0 });
    expect(() =>
      jobs.report(handle, { type: 'bounded', timeRemainingMs: 0, data: amount, memory: amount, file: amount }),
    ).toThrow();
  });
});

it('S10: a job from before a restart is adopted beside no other', async () => {
  const query = await jobs.begin('query', 'alice');
  expect(() => jobs.adoptAsync('migration-out', 'perform3', new Date())).toThrow(/beside another job/);
  await query();
  jobs.adoptAsync('migration-out', 'perform3', new Date());
  expect(() => jobs.adoptAsync('save', 'none', new Date())).toThrow(/beside another job/);
});

describe('the last job', () => {
  const amount = { totalBytes: 10, processedBytes: 10, remainingBytes: 0 };

  it('S9: is told as it ended, with the time it took, until another has ended', async () => {
    expect(jobs.last).toBeNull();
    const handle = await jobs.beginAsync('migration-out', '10.0.0.1');
    await jobs.phase(handle, 'perform3');
    jobs.report(handle, { type: 'bounded', timeRemainingMs: 0, data: amount, memory: amount, file: amount });
    clock.advance(1_500);
    await jobs.endAsync(handle, 'completed');
    clock.advance(9_000);
    const completed = { type: 'completed', job: 'migration-out', phase: 'perform3', timeElapsedMs: 1_500, memory: amount };
    expect(jobs.last).toMatchObject(completed);
    const next = await jobs.beginAsync('save', 'alice');
    expect(jobs.last).toMatchObject(completed);
    await jobs.endAsync(handle, 'failed');
    expect(jobs.last).toMatchObject(completed);
    await jobs.endAsync(next, 'failed');
    expect(jobs.last).toMatchObject({ type: 'failed', job: 'save', memory: { totalBytes: 0 } });
  });

  it('S19: is cancelled when it was discarded, and nothing when it had not really begun', async () => {
    await jobs.endAsync(await jobs.beginAsync('migration-out', '10.0.0.1'));
    expect(jobs.last).toBeNull();
    await jobs.beginAsync('dump', 'alice');
    await jobs.discardAsync();
    expect(jobs.last).toMatchObject({ type: 'cancelled', job: 'dump' });
  });
});

describe('what is saved', () => {
  it('is async jobs with their phases, and destroy, in the order they happened; a query costs no write', async () => {
    const saved: string[] = [];
    const onChange = ({ sync, async }: JobState) => {
      saved.push(`${sync?.job ?? '-'} ${async?.kind ?? '-'} ${async?.phase ?? '-'}`);
      return Promise.resolve();
    };
    jobs = new DomainJobs({ clock, domain: 'web', onChange });
    const handle = await jobs.beginAsync('migration-out', 'alice');
    await jobs.phase(handle, 'begin3');
    await (await jobs.begin('query', 'bob'))();
    await (await jobs.begin('destroy', 'bob'))();
    await jobs.endAsync(handle);
    expect(saved).toEqual([
      '- migration-out none',
      '- migration-out begin3',
      'destroy migration-out begin3',
      '- migration-out begin3',
      '- - -',
    ]);
  });

  it('I12: a change that cannot be saved is refused and undone', async () => {
    let broken = false;
    const onChange = () => (broken ? Promise.reject(new Error('disk full')) : Promise.resolve());
    jobs = new DomainJobs({ clock, domain: 'web', onChange });
    const handle = await jobs.beginAsync('migration-out', 'alice');
    broken = true;
    await expect(jobs.phase(handle, 'perform3')).rejects.toThrow('disk full');
    expect(jobs.info().phase).toBe('none');
    await expect(jobs.begin('destroy', 'bob')).rejects.toThrow('disk full');
    expect(jobs.state.sync).toBeNull();
    await expect(jobs.endAsync(handle)).rejects.toThrow('disk full');
    expect(jobs.active).toBeNull();
    await expect(jobs.beginAsync('save', 'alice')).rejects.toThrow('disk full');
    expect(jobs.active).toBeNull();
  });

  it('S10: a change that could not be saved does not bring back a job that has ended meanwhile', async () => {
    let fail: (error: Error) => void = () => undefined;
    const writes = [Promise.resolve(), new Promise<void>((_, reject) => (fail = reject)), Promise.resolve()];
    jobs = new DomainJobs({ clock, domain: 'web', onChange: () => writes.shift() ?? Promise.resolve() });
    const handle = await jobs.beginAsync('migration-out', 'alice');
    const phase = jobs.phase(handle, 'perform3');
    await jobs.endAsync(handle);
    fail(new Error('disk full'));
    await expect(phase).rejects.toThrow('disk full');
    expect(jobs.active).toBeNull();
  });
});
