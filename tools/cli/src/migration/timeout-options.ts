import type { MigrationTimeouts, TimeoutAction } from '@vmferry/api';
import { type Command, Option } from 'commander';
import { stallTimeoutOf, timeoutOf, timeoutPerGibOf } from '../arguments.js';

export interface TimeoutOptions {
  readonly timeout?: number;
  readonly timeoutPerGib?: number;
  readonly stallTimeout?: number;
  readonly timeoutAction?: TimeoutAction;
  readonly timeoutSuspend?: true;
}

/** The timeouts of a migration, when it is begun and while it runs. */
export function addTimeoutOptions(command: Command): Command {
  return command
    .option('--timeout <seconds>', 'how long the memory may take to be sent, 1 to 604800', timeoutOf)
    .option(
      '--timeout-per-gib <seconds>',
      'the same for each GiB of guest memory, 1 to 86400; added to --timeout',
      timeoutPerGibOf,
    )
    .option('--stall-timeout <seconds>', 'how long it may make no progress, 1 to 86400', stallTimeoutOf)
    .addOption(
      new Option('--timeout-action <action>', 'then cancel (default), or pause the guest so that the rest is sent').choices([
        'cancel',
        'pause',
      ]),
    )
    .addOption(new Option('--timeout-suspend', "virsh's word for --timeout-action pause").conflicts('timeoutAction'));
}

/** Undefined when none is given. */
export function timeoutsOf(options: TimeoutOptions): MigrationTimeouts | undefined {
  const action = options.timeoutSuspend === true ? 'pause' : options.timeoutAction;
  const timeouts = {
    ...(options.timeout === undefined ? {} : { totalSeconds: options.timeout }),
    ...(options.timeoutPerGib === undefined ? {} : { secondsPerGib: options.timeoutPerGib }),
    ...(options.stallTimeout === undefined ? {} : { stallSeconds: options.stallTimeout }),
    ...(action === undefined ? {} : { action }),
  };
  return Object.keys(timeouts).length === 0 ? undefined : timeouts;
}
