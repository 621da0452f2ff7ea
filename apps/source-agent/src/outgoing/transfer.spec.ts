import type { MigrationProgress, MigrationTimeouts } from '@vmferry/api';
import type { Channel } from '@vmferry/guest';
import { closeFd, socketpair } from '@vmferry/posix';
import { noFaults, systemClock } from '@vmferry/seams';
import { describe, expect, it, onTestFinished } from 'vitest';
import { scriptedMonitor } from '../testing/scripted-monitor.js';
import { silentLog } from '../testing/spec-parts.js';
import { single } from './outgoing-channel.js';
import type { Overdue } from './patience.js';
import { Transfer } from './transfer.js';

const ram = {
  'total': 1_000,
  'transferred': 0,
  'remaining': 500,
  'duplicate': 0,
  'normal': 0,
  'normal-bytes': 0,
  'dirty-pages-rate': 0,
  'mbps': 1,
  'dirty-sync-count': 1,
  'page-size': 4_096,
  'skipped': 0,
  'postcopy-requests': 0,
  'multifd-bytes': 0,
  'pages-per-second': 0,
  'precopy-bytes': 0,
  'downtime-bytes': 0,
  'postcopy-bytes': 0,
  'dirty-sync-missed-zero-copy': 0,
};

/** A transfer into a real socket, with a monitor by script; `order` has what was done to the channel and to the monitor. */
async function transfer(timeouts: MigrationTimeouts = {}) {
  const order: string[] = [];
  const sent: [string, unknown][] = [];
  const monitor = await scriptedMonitor((command, args) => {
    order.push(command);
    sent.push([command, args]);
  });
  monitor.answers['query-migrate'] = { status: 'active', ram };
  const [ours, theirs] = socketpair();
  onTestFinished(() => {
    closeFd(ours);
    closeFd(theirs);
  });
  const end = { fd: ours, shut: () => order.push('shut'), release: () => order.push('release') } as unknown as Channel; // A transfer uses no more of it.
  const handed = { handed: ({ fd }: { fd: number }, name: string) => ({ fd, name, label: () => Promise.resolve() }) };
  const channel = single(end, handed, () => Promise.resolve(null));
  const progress: MigrationProgress[] = [];
  const overdue: Overdue[] = [];
  const made = new Transfer({
    qmp: monitor.qmp,
    clock: systemClock,
    faults: noFaults,
    log: silentLog,
    bandwidthBytesPerSec: null,
    downtimeMsMax: 300,
    timeouts,
    onStuck: () => undefined,
    memoryKib: 1_048_576,
    onProgress: (value) => progress.push(value),
    onOverdue: async (value) => {
      overdue.push(value);
      await (value.action === 'pause' ? made.pause() : made.cancel());
    },
  });
  return { made, monitor, order, sent, channel, progress, overdue };
}

/** Any display, no TLS. */
const plain = { display: null, tls: null };

const until = async (holds: () => boolean) => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
};

describe('Transfer', () => {
  it('S40: sets up, hands the descriptor over, and ends by the event', async () => {
    const { made, monitor, order, channel, progress } = await transfer();
    await made.start(channel, plain);
    expect(order).toEqual([
      'query-migrate-capabilities',
      'migrate-set-parameters',
      'migrate-set-parameters',
      'migrate-set-capabilities',
      'getfd',
      'migrate',
    ]);
    await until(() => progress.length > 0);
    expect(progress[0]?.memory).toMatchObject({ totalBytes: 1_000, processedBytes: 500 });
    monitor.event('MIGRATION', { status: 'completed' });
    expect(await made.end).toEqual({ t: 'completed' });
    expect(order.at(-1)).toBe('release');
    // A look that was under way may still arrive.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const looked = order.length;
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(order.length, 'nothing is polled once it is over').toBe(looked);
  });

  it('S38: cancel shuts the channel first, and only then tells QEMU', async () => {
    const { made, monitor, order, channel } = await transfer();
    await made.start(channel, plain);
    monitor.answers['query-migrate'] = { status: 'cancelled' };
    await made.cancel();
    expect(order.indexOf('shut')).toBeGreaterThan(0);
    expect(order.indexOf('shut')).toBeLessThan(order.indexOf('migrate_cancel'));
    expect(await made.end).toEqual({ t: 'cancelled' });
    await made.cancel();
    expect(order.filter((what) => what === 'shut')).toHaveLength(1);
  });

  it('rule 1: a cancel is a request: QEMU may have completed', async () => {
    const { made, monitor, channel } = await transfer();
    await made.start(channel, plain);
    monitor.answers['query-migrate'] = { status: 'completed' };
    await made.cancel();
    expect(await made.end).toEqual({ t: 'completed' });
  });

  it('a failure has the reason that the status tells', async () => {
    const { made, monitor, channel } = await transfer();
    await made.start(channel, plain);
    monitor.answers['query-migrate'] = { 'status': 'failed', 'error-desc': 'the wire was cut' };
    monitor.event('MIGRATION', { status: 'failed' });
    expect(await made.end).toEqual({ t: 'failed', detail: 'the wire was cut' });
  });

  it('the end of QEMU is an end, and no other follows', async () => {
    const { made, monitor, channel } = await transfer();
    await made.start(channel, plain);
    monitor.end();
    expect(await made.end).toMatchObject({ t: 'failed', detail: expect.stringContaining('ended') });
  });

  it('raises the limit when a pass has not brought it nearer, up to the maximum that is set meanwhile', async () => {
    const { made, monitor, sent, channel, progress } = await transfer();
    await made.start(channel, plain);
    await made.steer({ downtimeMsMax: 20 });
    const limits = () => sent.filter(([, args]) => Object.hasOwn(args as object, 'downtime-limit')).length;
    expect(limits()).toBe(2);
    const begins = (pass: number) => {
      monitor.answers['query-migrate'] = {
        status: 'active',
        ram: { ...ram, 'transferred': pass * 500, 'dirty-sync-count': pass },
      };
      monitor.event('MIGRATION_PASS', { pass });
    };
    begins(2);
    await until(() => progress.at(-1)?.converging === true);
    begins(3);
    await until(() => limits() === 3);
    begins(4);
    await until(() => progress.at(-1)?.memory.iteration === 4);
    expect([limits(), progress.at(-1)?.downtime.limitMs]).toEqual([3, 20]);
    expect(progress.at(-1)?.hint).toContain('downtimeMsMax');
    monitor.event('MIGRATION', { status: 'completed' });
    await made.end;
    await made.steer({ downtimeMsMax: 100 });
    expect(limits()).toBe(3);
  });

  it('looks are taken one after the other, so that what they tell never goes back', async () => {
    const { made, monitor, channel, progress } = await transfer();
    await made.start(channel, plain);
    for (let pass = 2; pass < 40; pass += 1) {
      monitor.answers['query-migrate'] = {
        status: 'active',
        ram: { ...ram, 'remaining': (pass * 37) % 900, 'dirty-sync-count': pass },
      };
      monitor.event('MIGRATION_PASS', { pass });
      if (pass % 5 === 0) await until(() => progress.at(-1)?.memory.iteration === pass);
    }
    await until(() => progress.at(-1)?.memory.iteration === 39);
    const told = progress.map(({ memory }) => memory);
    expect(told.length).toBeGreaterThan(5);
    for (const [index, { iteration, processedBytes }] of told.entries()) {
      expect(iteration).toBeGreaterThanOrEqual(told[index - 1]?.iteration ?? 0);
      expect(processedBytes).toBeGreaterThanOrEqual(told[index - 1]?.processedBytes ?? 0);
    }
  });

  it('a total that is over cancels: the channel first, and once', async () => {
    const { made, monitor, order, channel, overdue } = await transfer({ totalSeconds: 1 });
    const startedMs = performance.now();
    await made.start(channel, plain);
    expect(overdue).toEqual([]);
    await until(() => overdue.length > 0);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(1_000);
    monitor.answers['query-migrate'] = { status: 'cancelled' };
    monitor.event('MIGRATION', { status: 'cancelled' });
    expect(await made.end).toEqual({ t: 'cancelled' });
    expect(overdue).toEqual([{ action: 'cancel', what: 'total', seconds: 1 }]);
    expect(order.indexOf('shut')).toBeLessThan(order.indexOf('migrate_cancel'));
  });

  it('T4: pause raises the bandwidth first and then stops the guest; a later change of the downtime does not lower it', async () => {
    const { made, sent, channel, monitor, overdue } = await transfer({ stallSeconds: 1, action: 'pause' });
    await made.start(channel, plain);
    await made.steer({ bandwidthBytesPerSec: 1_000 });
    const after = sent.length;
    await until(() => sent.some(([command]) => command === 'stop'));
    expect(overdue).toEqual([{ action: 'pause', what: 'stall', seconds: 1 }]);
    const acts = sent.slice(after).filter(([command]) => command !== 'query-migrate');
    expect(acts).toEqual([
      ['migrate-set-parameters', { 'downtime-limit': 10, 'max-bandwidth': 2 ** 40 }],
      ['stop', {}],
    ]);
    await made.steer({ downtimeMsMax: 5 });
    expect(sent.at(-1)).toEqual(['migrate-set-parameters', { 'downtime-limit': 5, 'max-bandwidth': 2 ** 40 }]);
    monitor.event('MIGRATION', { status: 'completed' });
    await made.end;
    await made.pause();
    expect(
      sent.filter(([command]) => command === 'stop'),
      'nothing is stopped once it is over',
    ).toHaveLength(1);
  });
});
