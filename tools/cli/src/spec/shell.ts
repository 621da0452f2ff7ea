import { type Clock, systemClock, systemRandom } from '@vmferry/seams';
import { InvalidArgumentError } from 'commander';
import type { CliContext } from '../context.js';
import type { ExitCode } from '../exit-code.js';
import { runCli } from '../run-cli.js';

export interface Shell {
  readonly context: CliContext;
  readonly written: { out: string; err: string };
  /** Sends a signal as the terminal would. */
  readonly signal: (name: NodeJS.Signals) => void;
  readonly run: (...argv: string[]) => Promise<ExitCode>;
}

/** A command line in this process, with buffers for a terminal. */
export function shell(
  options: { isTerminal?: boolean; env?: Record<string, string>; files?: Record<string, string>; clock?: Clock } = {},
): Shell {
  const written = { out: '', err: '' };
  const listeners: { signals: readonly NodeJS.Signals[]; listener: (signal: string) => void }[] = [];
  const output = (to: 'out' | 'err') => ({
    isTerminal: options.isTerminal === true,
    columns: 160,
    write: (text: string) => {
      written[to] += text;
    },
  });
  const context: CliContext = {
    env: options.env ?? {},
    stdout: output('out'),
    stderr: output('err'),
    clock: options.clock ?? systemClock,
    random: systemRandom,
    isRoot: false,
    tmpDir: '/tmp',
    readInput: async (path) => options.files?.[path] ?? Promise.reject(new InvalidArgumentError(`cannot read ${path}`)),
    outliveOutput: () => undefined,
    onSignal: (signals, listener) => {
      const entry = { signals, listener };
      listeners.push(entry);
      return () => void listeners.splice(listeners.indexOf(entry), 1);
    },
  };
  return {
    context,
    written,
    signal: (name) => {
      for (const { signals, listener } of [...listeners]) if (signals.includes(name)) listener(name);
    },
    run: (...argv) => runCli(argv, context, '0.0.0-spec'),
  };
}
