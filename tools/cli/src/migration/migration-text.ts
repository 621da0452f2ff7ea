import type { MigrationResource } from '@vmferry/api';
import { displayText } from '../output/display.js';
import { percentOf } from '../output/progress-line.js';
import { factsText, tableText } from '../output/table.js';
import { bytesText, durationText, rateText } from '../output/units.js';

export function migrationTable(migrations: readonly MigrationResource[]): string {
  const rows = migrations.map((migration) => [
    migration.id,
    migration.domain.name,
    migration.side,
    migration.state,
    migration.phase,
    `${percentOf(migration)}%`,
    migration.guest.runningOn,
    migration.createdAt,
  ]);
  return tableText(['Id', 'Domain', 'Side', 'State', 'Phase', 'Sent', 'Guest on', 'Created'], rows);
}

export function migrationFacts(migration: MigrationResource): string {
  const { guest, mode, progress, cancel, forceComplete, held, error, display } = migration;
  const offline = migration.flags.includes('OFFLINE');
  return factsText([
    ['Id', migration.id],
    ['Domain', `${migration.domain.name} (${migration.domain.uuid})`],
    ...(migration.domain.destinationName === migration.domain.name
      ? []
      : [['Name there', migration.domain.destinationName] as const]),
    ['State', `${migration.state}, ${migration.phase}`],
    ['Guest on', guest.detail === '' ? guest.runningOn : `${guest.runningOn} (${guest.detail})`],
    ['Outcome', migration.outcome ?? notAsked(migration)],
    ['Source', sideText(migration.source)],
    ['Destination', sideText(migration.destination)],
    ...(display === null ? [] : [['Display there', displayText(display, display.hostName)] as const]),
    ['Mode', `${mode.driver}, ${offline ? 'offline' : mode.transport}`],
    ['Flags', migration.flags.join(', ') || 'none'],
    ...(offline ? [] : sendingFacts(migration)),
    ...(forceComplete === null
      ? []
      : [
          ['Forced', `${forceComplete.strategy}, asked by ${forceComplete.requestedBy} at ${forceComplete.requestedAt}`] as const,
        ]),
    ...(progress === null ? [] : progressFacts(progress)),
    ['Phases', migration.phaseTransitions.map(({ phase, side, at }) => `${at} ${phase} at the ${side}`).join('\n') || 'none yet'],
    ...(cancel === null
      ? []
      : [['Cancel', `${cancel.outcome}, asked by ${cancel.requestedBy} at ${cancel.requestedAt}`] as const]),
    ...(held === null ? [] : [['Held', `${held.reason}, since ${held.since}\n${held.hint}`] as const]),
    ...(error === null ? [] : [['Error', `${error.detail} (${error.code})`] as const]),
    ['Created', migration.createdAt],
    ['Finished', migration.finishedAt ?? 'no'],
  ]);
}

/** What limits the sending of memory. */
function sendingFacts(migration: MigrationResource): [string, string][] {
  const { bandwidthBytesPerSec } = migration.parameters;
  return [
    ['Bandwidth', bandwidthBytesPerSec === null ? 'unlimited' : rateText(bandwidthBytesPerSec)],
    ['Downtime limit', downtimeLimitText(migration)],
    ['Timeouts', timeoutsText(migration)],
  ];
}

export function timeoutsText({ timeouts }: MigrationResource): string {
  if (timeouts === null) return 'kept by the source';
  const { totalSeconds, secondsPerGib, stallSeconds, action } = timeouts;
  const parts = [
    ...(totalSeconds === null ? [] : [`${totalSeconds} s`]),
    ...(secondsPerGib === null ? [] : [`${secondsPerGib} s for each GiB`]),
    ...(stallSeconds === null ? [] : [`${stallSeconds} s without progress`]),
  ];
  return parts.length === 0 ? 'none' : `${parts.join(', ')}, then ${action}`;
}

const sideText = ({ agent, hostName, state }: MigrationResource['source']): string =>
  [hostName ?? 'unknown host', agent ?? 'unknown agent', state].join(', ');

function progressFacts(progress: NonNullable<MigrationResource['progress']>): [string, string][] {
  const { memory, downtime, hint } = progress;
  return [
    [
      'Memory',
      `${bytesText(memory.transferredBytes)} sent, ${bytesText(memory.remainingBytes)} of ${bytesText(memory.totalBytes)} left, pass ${memory.iteration}`,
    ],
    ['Rate', `${rateText(progress.throughputBytesPerSec)}, dirty ${rateText(memory.dirtyRateBytesPerSec)}`],
    [
      'Downtime',
      `measured ${msText(downtime.actualMs)}, announced ${msText(downtime.announcedMs)}, expected ${msText(downtime.expectedMs)}`,
    ],
    ...(hint === null ? [] : [['Hint', hint] as [string, string]]),
  ];
}

/** Without an answer the migration goes on; one that has ended without it was never so far that the record had a say. */
const notAsked = ({ finishedAt }: MigrationResource): string =>
  finishedAt === null ? 'not asked yet' : 'not asked: the destination was never permitted to run the guest';

/** The most that is allowed, and where QEMU's own limit stands, which is raised to it when it must. */
const downtimeLimitText = ({ parameters, progress }: MigrationResource): string =>
  `at most ${parameters.downtimeMsMax} ms${progress === null ? '' : `; QEMU's own is ${progress.downtime.limitMs} ms now`}`;

const msText = (ms: number | null): string => (ms === null ? 'unknown' : durationText(ms));
