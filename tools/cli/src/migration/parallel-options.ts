import { type Command, Option } from 'commander';
import { parallelConnectionsOf } from '../arguments.js';

export interface ParallelOptions {
  readonly parallel?: true;
  readonly parallelConnections?: number;
}

/** The channels of a migration; only when it is begun. */
export function addParallelOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--parallel',
        "send the pages over several channels at once (QEMU's multifd), through the tunnel alone; one that is lost fails the migration",
      ).conflicts('direct'),
    )
    .option(
      '--parallel-connections <n>',
      'channels that --parallel has beside the main one, 1 to 16 (default: 2)',
      parallelConnectionsOf,
    );
}
