import type { CreateMigration } from '@vmferry/api';
import type { SourceAgentClient } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import type { CliContext } from '../context.js';
import { type ExitCode, exitCodes } from '../exit-code.js';
import type { Reporter } from './reporter.js';

/** A migration as `vmferry migrate` was asked for it: its id is always given, so that a lost reply can be made good. */
export type Wish = CreateMigration & { readonly id: string; readonly flags: string[] };

export interface Drive {
  readonly context: CliContext;
  readonly source: SourceAgentClient;
  readonly wish: Wish;
  readonly reporter: Reporter;
}

/** After the second Ctrl-C. */
export function stoppedWatching(reporter: Reporter, id: string): ExitCode {
  reporter.note(`no longer watched; \`vmferry migration watch ${id}\` tells the end`);
  return exitCodes.interrupted;
}

/** The agent went away while the migration was under way: its end is not known here. */
export function lostSight(reporter: Reporter, thrown: unknown, id: string): ExitCode {
  reporter.failed(VmferryError.from(thrown));
  reporter.note(`how the migration ends is not known; \`vmferry migration watch ${id}\` tells it when the agent is back`);
  return exitCodes.attention;
}
