import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, openSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export type AppName = 'source-agent' | 'destination-agent' | 'tunnel-relay';

/** What one life of an app left behind. */
export interface AppExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * One app of a host as a real process. It keeps its port over its lives, as it would under a supervisor, and ends only what it
 * has started, by its own pid.
 */
export class AppProcess {
  readonly name: AppName;
  readonly logPath: string;
  readonly #arguments: () => readonly string[];
  #child: ChildProcess | null = null;
  #exit: Promise<AppExit> = Promise.resolve({ code: null, signal: null });
  #url: string | null = null;

  constructor(name: AppName, logPath: string, args: () => readonly string[]) {
    this.name = name;
    this.logPath = logPath;
    this.#arguments = args;
  }

  /** Where it listens, or listened in its last life. */
  get url(): string {
    if (this.#url === null) throw new Error(`${this.name} was never started`);
    return this.#url;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} is not running`);
    return pid;
  }

  get exited(): Promise<AppExit> {
    return this.#exit;
  }

  /** Starts it and resolves when it listens. `fault` is what VMFERRY_FAULT is set to for this life. */
  async start(fault?: string): Promise<void> {
    const listen = this.#url === null ? '127.0.0.1:0' : new URL(this.#url).host;
    const main = fileURLToPath(import.meta.resolve(`@vmferry/${this.name}/main`));
    appendFileSync(this.logPath, `--- ${this.name} starts${fault === undefined ? '' : ` with ${fault}`}\n`);
    const log = openSync(this.logPath, 'a');
    const child = spawn(process.execPath, [main, '--listen', listen, ...this.#arguments()], {
      stdio: ['ignore', 'pipe', log],
      env: { ...process.env, ...(fault === undefined ? {} : { VMFERRY_FAULT: fault }) },
    });
    closeSync(log);
    this.#child = child;
    this.#exit = once(child, 'exit').then(([code, signal]) => {
      if (this.#child === child) this.#child = null;
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
    this.#url = await this.#ready(child);
  }

  /** Sends a signal to this very process. */
  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** kill -9, and the proof of it. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** SIGTERM: it drains and ends by itself. */
  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  get running(): boolean {
    return this.#child !== null;
  }

  /** What its present or last life has logged, its start among it. */
  lastLife(): string {
    return readFileSync(this.logPath, 'utf8').split(`--- ${this.name} starts`).at(-1) ?? '';
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child === null) return;
    // One that has ended by itself, which its exit event is about to tell, is no error here, as it is for `signal`.
    this.#child.kill(signal);
    await this.#exit;
  }

  async #ready(child: ChildProcess): Promise<string> {
    const { stdout } = child;
    if (stdout === null) throw new Error(`${this.name} has no standard output`);
    const lines = createInterface({ input: stdout });
    const line = await Promise.race([
      once(lines, 'line').then(([text]) => String(text)),
      this.#exit.then(({ code, signal }) => {
        throw new Error(`${this.name} ended with ${code ?? signal} before it was ready; see ${this.logPath}`);
      }),
    ]);
    return (JSON.parse(line) as { url: string }).url;
  }
}
