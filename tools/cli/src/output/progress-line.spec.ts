import { describe, expect, it } from 'vitest';
import { cancelled, failed, migrationOf, needsAttention, succeeded } from '../spec/fixtures.js';
import { percentOf, progressLine, summaryText } from './progress-line.js';

const running = migrationOf();
const progress = running.progress;
if (progress === null) throw new Error('the fixture has progress');

describe('the progress line', () => {
  it.each([
    [
      'in the first pass',
      running,
      'web: perform  42%  812.0 MiB/s, 45.6 MiB left, 34.2 MiB sent, dirty 1.2 MiB/s, downtime limit 10 ms',
    ],
    [
      'in a later pass',
      migrationOf({
        progress: {
          ...progress,
          memory: {
            ...progress.memory,
            iteration: 4,
            processedBytes: 83_000_000,
            transferredBytes: 83_000_000,
            remainingBytes: 4_096,
          },
        },
      }),
      'web: perform  98%  812.0 MiB/s, 4.0 KiB left, 79.2 MiB sent, dirty 1.2 MiB/s, downtime limit 10 ms, pass 4',
    ],
    ['before there is progress', migrationOf({ phase: 'prepare', progress: null }), 'web: prepare'],
    ['before it begins', migrationOf({ state: 'PENDING', progress: null }), 'web: waiting'],
    ['while cancelling', migrationOf({ state: 'CANCELLING', progress: null }), 'web: perform, cancelling'],
    ['when it needs attention', { ...needsAttention, progress: null }, 'web: finish, needs attention'],
  ])('%s', (_, migration, line) => expect(progressLine(migration)).toBe(line));

  it.each([
    [90, 'web: perform  42%  812.0 MiB/s, 45.6 MiB left, 34.2 MiB sent, dirty 1.2 MiB/s'],
    [50, 'web: perform  42%  812.0 MiB/s, 45.6 MiB left'],
    [40, 'web:  42%  812.0 MiB/s, 45.6 MiB left'],
    [36, '42%  812.0 MiB/s, 45.6 MiB left'],
    [10, '42%  812.0 MiB/s, 45.6 MiB left'],
  ])('of %i columns keeps percent, rate and remaining', (columns, line) => {
    expect(progressLine(running, columns)).toBe(line);
    const long = migrationOf({ domain: { ...running.domain, name: 'n'.repeat(128) } });
    expect(progressLine(long, 40)).toBe('42%  812.0 MiB/s, 45.6 MiB left');
  });

  it('says 100 % of a success only', () => {
    const none = { ...progress, memory: { ...progress.memory, processedBytes: 83_886_080, remainingBytes: 0 } };
    expect(percentOf(migrationOf({ progress: none }))).toBe(99);
    expect(percentOf(succeeded)).toBe(100);
    expect(percentOf(migrationOf({ progress: { ...none, memory: { ...none.memory, totalBytes: 0 } } }))).toBe(0);
    const later = { ...none, memory: { ...none.memory, iteration: 2, remainingBytes: 80_000_000 } };
    expect(percentOf(migrationOf({ progress: later })), 'it does not fall with a new pass').toBe(99);
  });
});

describe('the summary', () => {
  it('of a success names where the guest runs and the measured downtime', () => {
    expect(summaryText(succeeded)).toBe(
      "web: succeeded after 1.23 s; the guest is on the destination, host-b\n  83.1 MiB sent in 3 passes, measured downtime 14 ms (QEMU's limit 10 ms)\n",
    );
  });

  it('of a success under another name uses it', () => {
    expect(summaryText({ ...succeeded, domain: { ...succeeded.domain, destinationName: 'web2' } })).toMatch(/^web2: succeeded/);
  });

  it('never makes up a downtime', () => {
    const announced = {
      ...succeeded,
      progress: { ...progress, downtime: { ...progress.downtime, actualMs: 14, announcedMs: 16 } },
    };
    expect(summaryText(announced)).toContain("(QEMU's limit 10 ms), announced after 16 ms");
    const unknown = { ...succeeded, progress: { ...progress, downtime: { ...progress.downtime, actualMs: null } } };
    expect(summaryText(unknown)).toContain('downtime not measured');
  });

  it('of an offline one says where the definition is', () => {
    const detail = 'Offline: its definition is on host-b, and on host-a still.';
    const domain = { ...succeeded.domain, destinationName: 'web2' };
    const moved = { ...succeeded, domain, flags: ['OFFLINE'], guest: { runningOn: 'none' as const, detail }, progress: null };
    expect(summaryText(moved)).toBe('web2: succeeded after 1.23 s; its definition is on host-b, and on host-a still\n');
  });

  it.each([
    [
      'a failure',
      failed,
      'web: failed after 1.23 s; the guest is on the source, host-a\n  34.2 MiB sent in 1 pass\n  outcome record: aborted\n',
    ],
    [
      'a cancel',
      cancelled,
      'web: cancelled after 1.23 s; the guest is on the source, host-a\n  34.2 MiB sent in 1 pass\n  outcome record: aborted\n',
    ],
    [
      'one that is held',
      needsAttention,
      'web: finish, needs attention; where the guest runs is not known (paused here)\n  34.2 MiB sent in 1 pass\n  outcome record: unknown\n' +
        '  held since 2026-01-01T00:00:01.000Z: the destination does not answer\n  hint: fence one side, then resolve\n',
    ],
  ])('of %s', (_, migration, text) => expect(summaryText(migration)).toBe(text));
});
