import type { Clock, Random } from '@vmferry/seams';
import type { Output } from './output/terminal.js';

/** Everything that the commands have of the world. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly clock: Clock;
  readonly random: Random;
  readonly isRoot: boolean;
  readonly tmpDir: string;
  /** A file's text, or that of stdin for `-`. */
  readonly readInput: (path: string) => Promise<string>;
  /** From now on, what cannot be written to stdout or stderr is dropped; before, it ends the process. */
  readonly outliveOutput: () => void;
  /** Calls the listener at each of the signals, in place of what they do by default, until the returned function is called. */
  readonly onSignal: (signals: readonly NodeJS.Signals[], listener: (signal: string) => void) => () => void;
}
