import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { systemClock, systemRandom } from '@vmferry/seams';
import { InvalidArgumentError } from 'commander';
import type { CliContext } from './context.js';
import type { Output } from './output/terminal.js';

const columnsWithoutTerminal = 100;

/** The process as the commands see it. */
export function systemContext(tmpDir: string): CliContext {
  let outlivesOutput = false;
  // A reader that went away, as `head` does, ends the command quietly; what a full disk does not take was not printed.
  const lost = (error: NodeJS.ErrnoException) => {
    if (!outlivesOutput) process.exit(error.code === 'EPIPE' ? 0 : 1);
  };
  for (const stream of [process.stdout, process.stderr]) stream.on('error', lost);
  return {
    env: process.env,
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    clock: systemClock,
    random: systemRandom,
    isRoot: process.geteuid?.() === 0,
    tmpDir,
    readInput,
    outliveOutput() {
      outlivesOutput = true;
    },
    onSignal: (signals, listener) => {
      for (const signal of signals) process.on(signal, listener);
      return () => {
        for (const signal of signals) process.off(signal, listener);
      };
    },
  };
}

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      // A terminal of unknown size says 0.
      return stream.columns || columnsWithoutTerminal;
    },
    write: (written) => void stream.write(written),
  };
}

async function readInput(path: string): Promise<string> {
  try {
    return path === '-' ? await text(process.stdin) : await readFile(path, 'utf8');
  } catch (thrown) {
    throw new InvalidArgumentError(`cannot read ${path}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}
