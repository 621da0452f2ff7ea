import type { MigrationResource } from '@vmferry/api';
import { bytesText, durationText, rateText } from './units.js';

/**
 * Where a migration is, on one line: phase, percent, rate, remaining, transferred, dirty rate, downtime limit. The percent is the
 * largest part of guest memory that the destination has held in its present form: it never falls, `left` does and rises again. What does
 * not fit into `columns` is left out from the end, then the phase and the name, so that percent, rate and remaining stay.
 */
export function progressLine(migration: MigrationResource, columns = Number.POSITIVE_INFINITY): string {
  const { domain, progress } = migration;
  const head = `${domain.name}: ${phaseText(migration)}`;
  if (progress === null) return head;
  const { memory, downtime } = progress;
  const parts = [
    rateText(progress.throughputBytesPerSec),
    `${bytesText(memory.remainingBytes)} left`,
    `${bytesText(memory.transferredBytes)} sent`,
    `dirty ${rateText(memory.dirtyRateBytesPerSec)}`,
    `downtime limit ${downtime.limitMs} ms`,
    ...(memory.iteration > 1 ? [`pass ${memory.iteration}`] : []),
  ];
  const percent = `${String(percentOf(migration)).padStart(3)}%  `;
  const least = `${percent}${parts.slice(0, wantedMost).join(', ')}`;
  const lines = [
    ...parts.map((_, dropped) => `${head} ${percent}${parts.slice(0, Math.max(wantedMost, parts.length - dropped)).join(', ')}`),
    `${domain.name}: ${least}`,
  ];
  return lines.find((line) => line.length < columns) ?? least.trimStart();
}

/** Rate and remaining. */
const wantedMost = 2;

/** 0 to 100; 100 only when the migration has succeeded. */
export function percentOf(migration: MigrationResource): number {
  if (migration.state === 'SUCCEEDED') return 100;
  const memory = migration.progress?.memory;
  if (memory === undefined || memory.totalBytes <= 0) return 0;
  const held = (memory.processedBytes / memory.totalBytes) * 100;
  return Math.min(99, Math.max(0, Math.floor(held)));
}

function phaseText({ state, phase }: MigrationResource): string {
  switch (state) {
    case 'PENDING':
      return 'waiting';
    case 'RUNNING':
      return phase;
    case 'CANCELLING':
      return `${phase}, cancelling`;
    case 'SUCCEEDED':
      return 'succeeded';
    case 'FAILED':
      return 'failed';
    case 'CANCELLED':
      return 'cancelled';
    case 'NEEDS_ATTENTION':
      return `${phase}, needs attention`;
  }
}

/** Fits a line to a terminal, which would wrap it and leave rubbish behind when it is redrawn. */
export const fitted = (line: string, columns: number): string =>
  line.length < columns ? line : `${line.slice(0, Math.max(0, columns - 2))}…`;

/** What became of the guest, in a few lines: where it runs first. */
export function summaryText(migration: MigrationResource): string {
  return summaryLines(migration)
    .map((line) => `${line}\n`)
    .join('');
}

function summaryLines(migration: MigrationResource): string[] {
  const { domain, guest, held, progress, outcome } = migration;
  const moved = guest.runningOn === 'destination' || (isOffline(migration) && migration.state === 'SUCCEEDED');
  const name = moved ? domain.destinationName : domain.name;
  return [
    `${name}: ${phaseText(migration)}${tookText(migration)}; ${whereText(migration)}`,
    ...(progress === null
      ? []
      : [`  ${transferText(progress.memory.transferredBytes, progress.memory.iteration)}${downtimeText(migration)}`]),
    ...(migration.state === 'SUCCEEDED' || outcome === null ? [] : [`  outcome record: ${outcome}`]),
    ...(held === null ? [] : [`  held since ${held.since}: ${held.reason}`, `  hint: ${held.hint}`]),
    ...(progress?.hint != null && migration.state !== 'SUCCEEDED' ? [`  hint: ${progress.hint}`] : []),
    ...(migration.state === 'NEEDS_ATTENTION' && held === null
      ? [`  hint: \`vmferry migration watch ${migration.id}\` waits for a decision`]
      : []),
  ];
}

const isOffline = ({ flags }: MigrationResource): boolean => flags.includes('OFFLINE');

/** The field an operator looks at first. Offline the agent's own words say where the definition is. */
function whereText(migration: MigrationResource): string {
  const { guest, source, destination } = migration;
  if (isOffline(migration)) return guest.detail.replace(/^Offline: /, '').replace(/\.$/, '');
  const host = { source: source.hostName, destination: destination.hostName, none: null, unknown: null }[guest.runningOn];
  const where = {
    source: 'the guest is on the source',
    destination: 'the guest is on the destination',
    none: 'the guest runs nowhere',
    unknown: 'where the guest runs is not known',
  }[guest.runningOn];
  return `${where}${host === null ? '' : `, ${host}`}${guest.detail === '' ? '' : ` (${guest.detail})`}`;
}

function tookText({ createdAt, finishedAt }: MigrationResource): string {
  if (finishedAt === null) return '';
  return ` after ${durationText(Math.max(0, Date.parse(finishedAt) - Date.parse(createdAt)))}`;
}

const transferText = (bytes: number, passes: number): string =>
  `${bytesText(bytes)} sent${passes > 0 ? ` in ${passes} ${passes === 1 ? 'pass' : 'passes'}` : ''}`;

function downtimeText({ progress, state }: MigrationResource): string {
  if (progress === null || state !== 'SUCCEEDED') return '';
  const { actualMs, announcedMs, limitMs } = progress.downtime;
  const announced = announcedMs === null ? '' : `, announced after ${durationText(announcedMs)}`;
  return actualMs === null
    ? ', downtime not measured'
    : `, measured downtime ${durationText(actualMs)} (QEMU's limit ${limitMs} ms)${announced}`;
}
