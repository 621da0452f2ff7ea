import { CommanderError } from 'commander';
import type { CliContext } from './context.js';
import { type ExitCode, exitCodes } from './exit-code.js';
import { type Room, usageJson } from './leaf.js';
import { programOf } from './program.js';

/** Runs one command line (without the program's name) and returns the exit code. */
export async function runCli(argv: readonly string[], context: CliContext, version: string): Promise<ExitCode> {
  const room: Room = { context, exit: { code: exitCodes.done }, json: argv.includes('--json') };
  try {
    await programOf(room, version).parseAsync([...argv], { from: 'user' });
    return room.exit.code;
  } catch (thrown) {
    // Help and the version were asked for when the code is 0; everything else that commander throws is a usage error, told already but for a program.
    if (!(thrown instanceof CommanderError)) throw thrown;
    if (thrown.exitCode === 0) return exitCodes.done;
    if (room.json) context.stderr.write(usageJson(thrown.message));
    return exitCodes.usage;
  }
}
