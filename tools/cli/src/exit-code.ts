import type { MigrationResource } from '@vmferry/api';

/** What the process ends with; scripts rely on it (api-conventions, CLI). */
export const exitCodes = {
  done: 0,
  /** It failed; for a migration: and the guest is safe on the source. */
  failed: 1,
  usage: 2,
  /** The outcome is not known, or a guest is held or lost: a person must look. */
  attention: 3,
  /** Ctrl-C: the migration was cancelled, or nobody watches it any more. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Of an offline migration nobody runs, and its definition has stayed. */
function isSafe({ guest, flags }: MigrationResource): boolean {
  return guest.runningOn === 'source' || (guest.runningOn === 'none' && flags.includes('OFFLINE'));
}

/**
 * The exit code of a migration that has ended, or that waits for a person. A guest that moved although a cancel was asked for is
 * `done`: the record decides, not the wish.
 */
export function migrationExitCode(migration: MigrationResource, cancelAsked: boolean): ExitCode {
  switch (migration.state) {
    case 'SUCCEEDED':
      return exitCodes.done;
    case 'FAILED':
    case 'CANCELLED':
      if (!isSafe(migration)) return exitCodes.attention;
      return cancelAsked ? exitCodes.interrupted : exitCodes.failed;
    case 'PENDING':
    case 'RUNNING':
    case 'CANCELLING':
    case 'NEEDS_ATTENTION':
      return exitCodes.attention;
  }
}
