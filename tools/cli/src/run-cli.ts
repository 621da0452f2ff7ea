import { CommanderError } from 'commander';
import type { CliContext } from './context.js';
import { type ExitCode, exitCodes } from './exit-code.js';
import type { Room } from './leaf.js';
import { programOf } from './program.js';

/** Runs one command line (without the program's name) and returns the exit code. */
export async function runCli(argv: readonly string[], context: CliContext, version: string): Promise<ExitCode> {
  const room: Room = { context, exit: { code: exitCodes.done } };
  try {
    await programOf(room, version).parseAsync([...argv], { from: 'user' });
    return room.exit.code;
  } catch (thrown) {
    // Help and the version were asked for when the code is 0; everything else that commander throws is a usage error, already told.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    throw thrown;
  }
}
