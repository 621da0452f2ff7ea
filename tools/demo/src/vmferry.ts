import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { VmferryError } from '@vmferry/errors';
import { command } from './say.js';

/** The CLI, as the alias that the transcript begins with names it. */
export const cliPath = fileURLToPath(new URL('../../cli/dist/main.js', import.meta.url));

/** How long a command may go on after it was interrupted: `migrate` cancels and waits for the guest to be safe. */
const interruptedMsMax = 20_000;

/** Runs `vmferry` commands as a user would: each is printed, with its output below it. */
export class Vmferry {
  readonly #env: NodeJS.ProcessEnv;
  readonly #signal: AbortSignal;

  /** When `signal` is aborted, a command that runs gets a SIGINT, as from Ctrl-C, and no other is started. */
  constructor(env: NodeJS.ProcessEnv, signal: AbortSignal) {
    this.#env = env;
    this.#signal = signal;
  }

  /** The same commands with another source-agent as their default. */
  at(url: string, signal = this.#signal): Vmferry {
    return new Vmferry({ ...this.#env, VMFERRY_URL: url }, signal);
  }

  /** Runs a command on the terminal that the demo has. Throws when it fails or takes more than `deadlineMs`. */
  async run(args: readonly string[], deadlineMs: number): Promise<void> {
    await this.#finish(this.#start(args, 'inherit'), args, deadlineMs);
  }

  /** Runs a command and returns what it printed, which is shown too. */
  async read(args: readonly string[], deadlineMs: number): Promise<string> {
    const child = this.#start(args, 'pipe');
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      process.stdout.write(part);
    });
    await this.#finish(child, args, deadlineMs);
    return text;
  }

  /** Starts a command that goes on, such as `host up`. It is the caller's to end. */
  spawn(args: readonly string[]): ChildProcess {
    return this.#start(args, 'pipe', ' &');
  }

  #start(args: readonly string[], stdout: 'inherit' | 'pipe', after = ''): ChildProcess {
    this.#signal.throwIfAborted();
    command(`vmferry ${args.join(' ')}${after}`);
    // In a process group of its own, so that Ctrl-C on the terminal reaches it through the demo alone.
    return spawn(process.execPath, [cliPath, ...args], { stdio: ['ignore', stdout, 'inherit'], env: this.#env, detached: true });
  }

  async #finish(child: ChildProcess, args: readonly string[], deadlineMs: number): Promise<void> {
    const interrupt = () => {
      child.kill('SIGINT');
      killTimer = setTimeout(() => child.kill('SIGKILL'), interruptedMsMax);
    };
    let killTimer: NodeJS.Timeout | undefined;
    const deadline = setTimeout(interrupt, deadlineMs);
    this.#signal.addEventListener('abort', interrupt, { once: true });
    const [exitCode, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    clearTimeout(deadline);
    clearTimeout(killTimer);
    this.#signal.removeEventListener('abort', interrupt);
    this.#signal.throwIfAborted();
    if (exitCode === 0) return;
    throw new VmferryError('internal', `\`vmferry ${args.join(' ')}\` ended with ${signal ?? `exit code ${exitCode}`}.`);
  }
}

/** One active domain in the table of `vmferry domain list`. */
export interface ListedDomain {
  readonly pid: number;
  readonly name: string;
  readonly state: string;
}

/** Reads the table that `vmferry domain list` prints; domains without a process are left out. */
export function listedDomains(table: string): ListedDomain[] {
  return table.split('\n').flatMap((line) => {
    const [, pid, name, state] = /^ (\d+) {3,}(\S+) {3,}(\S.*?)(?: {3,}.*)?$/.exec(line) ?? [];
    return pid === undefined || name === undefined || state === undefined ? [] : [{ pid: Number(pid), name, state }];
  });
}
