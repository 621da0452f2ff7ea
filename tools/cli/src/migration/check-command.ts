import type { MigrationCheck } from '@vmferry/api';
import type { Command } from 'commander';
import { examples } from '../examples.js';
import { type ExitCode, exitCodes } from '../exit-code.js';
import { acts, type Room } from '../leaf.js';
import { printable } from '../output/printable.js';
import { factsText } from '../output/table.js';
import { durationText, rateText } from '../output/units.js';
import { type MigrateOptions, wishOf } from './migrate-command.js';

/** What `vmferry migrate` takes and a check has no use for. */
const withoutUse = ['--detach', '--json'];

/** `vmferry migration check`: takes what `vmferry migrate` takes, so that the one can be tried before the other. */
export function addCheckCommand(migration: Command, room: Room, migrate: Command): void {
  const check = migration
    .command('check')
    .description(
      'tell all that is in the way of a migration at both hosts, and how it would go; nothing happens (exit code 1: it is blocked)',
    );
  for (const argument of migrate.registeredArguments) check.addArgument(argument);
  for (const option of migrate.options) if (!withoutUse.includes(option.long ?? '')) check.addOption(option);
  check.addHelpText('after', examples('migration check web http://192.0.2.7:7802 --live --bandwidth 512'));
  acts<MigrateOptions>(room, check, async (call): Promise<ExitCode> => {
    const checked = await call.source().checkMigration(await wishOf(call));
    call.print(checkText(checked), checked);
    return checked.ok ? exitCodes.done : exitCodes.failed;
  });
}

function checkText({ ok, blockers, warnings, forecast }: MigrationCheck): string {
  const lines = [
    ...blockers.map(({ side, code, detail }) => `blocked at the ${side}: ${detail} (${code})\n`),
    ...warnings.map(({ side, code, detail }) => `warning for the ${side}: ${detail} (${code})\n`),
  ];
  const { basis, durationMs, downtimeMs, converges, reason } = forecast;
  const facts = factsText([
    ['Can be migrated', ok ? 'yes' : 'no'],
    ['Duration', msText(durationMs)],
    ['Downtime', downtimeMs === null ? 'unknown' : `${durationText(downtimeMs)} and the switch`],
    ['Converges', converges === null ? 'unknown' : converges ? 'yes' : 'no'],
    ...(reason === null ? [] : [['Because', reason] as const]),
    ['Memory', `${Math.round(basis.memoryBytes / 1_048_576)} MiB`],
    ['Dirty rate', basis.dirtyRateBytesPerSec === null ? 'not measured' : rateText(basis.dirtyRateBytesPerSec)],
    ['Bandwidth', basis.bandwidthBytesPerSec === null ? 'unknown' : rateText(basis.bandwidthBytesPerSec)],
  ]);
  return `${lines.map(printable).join('')}${facts}`;
}

const msText = (ms: number | null): string => (ms === null ? 'unknown' : durationText(ms));
