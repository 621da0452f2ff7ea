import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { VmferryError } from '@vmferry/errors';
import type { Clock, Timer } from '@vmferry/seams';
import type { AppCommand } from './app-command.js';
import { lastWords, openLog } from './app-log.js';
import type { HostEvent } from './host-event.js';
import { readyUrl } from './ready-line.js';

const restartMsFirst = 100;
const restartMsMax = 5_000;
/** An app that was ready for this long has recovered: its next death counts as the first. */
const recoveredAfterMs = 10_000;
/**
 * How long a drain may take before the app is killed: longer than a relay's own 30 s for its streams and 10 s for its requests, so that it
 * still says why it cuts. Nothing is lost by killing: what an app needs is on disk.
 */
const drainMsMax = 45_000;

type State =
  | { readonly t: 'idle' }
  | { readonly t: 'running'; readonly child: ChildProcess; readonly ended: Promise<void>; readyAtMs: number | null }
  | { readonly t: 'waiting'; readonly timer: Timer }
  | { readonly t: 'stopping' };

/** An app ended by itself before it was ever ready; its last words are the message. */
export class GaveUp extends Error {}

/**
 * Keeps one app running: a death is followed by a restart after 100 ms, doubled at each further death in a row up to 5 s.
 * Only an app that ends by itself before it was ever ready is not tried again: then its configuration is wrong.
 */
export class SupervisedApp {
  readonly #command: AppCommand;
  readonly #clock: Clock;
  readonly #tell: (event: HostEvent) => void;
  #state: State = { t: 'idle' };
  #deaths = 0;
  #everReady = false;
  #announce: { readonly ready: (url: string) => void; readonly gaveUp: (error: Error) => void } | null = null;

  constructor(command: AppCommand, options: { readonly clock: Clock; readonly tell: (event: HostEvent) => void }) {
    this.#command = command;
    this.#clock = options.clock;
    this.#tell = options.tell;
  }

  /** Starts the app; resolves with its URL when it is ready for the first time, rejects when it gives up. */
  start(): Promise<string> {
    const announced = new Promise<string>((ready, gaveUp) => {
      this.#announce = { ready, gaveUp };
    });
    this.#spawn();
    return announced;
  }

  /** SIGTERM, then waits for the end; after 45 s, or when `impatient` is aborted, SIGKILL. */
  async stop(impatient: AbortSignal): Promise<void> {
    const state = this.#state;
    this.#state = { t: 'stopping' };
    if (state.t === 'idle') return;
    if (state.t === 'waiting') state.timer.cancel();
    if (state.t === 'running') await this.#end(state.child, state.ended, impatient);
    this.#tell({ t: 'stopped', app: this.#command.app });
  }

  /** Passes SIGHUP on; an app that is not ready yet reads its files anyway, and might not know of it. */
  hangUp(): void {
    if (this.#state.t === 'running' && this.#state.readyAtMs !== null) this.#state.child.kill('SIGHUP');
  }

  async #end(child: ChildProcess, ended: Promise<void>, impatient: AbortSignal): Promise<void> {
    const since = this.#clock.monotonicMs();
    const kill = () => {
      child.kill('SIGKILL');
      const afterMs = Math.round(this.#clock.monotonicMs() - since);
      this.#tell({ t: 'killed', app: this.#command.app, pid: child.pid ?? 0, afterMs });
    };
    const timer = this.#clock.after(drainMsMax, kill);
    impatient.addEventListener('abort', kill, { once: true });
    child.kill('SIGTERM');
    if (impatient.aborted) kill();
    await ended;
    timer.cancel();
    impatient.removeEventListener('abort', kill);
  }

  #spawn(): void {
    if (this.#state.t === 'stopping') return;
    const { app, command, args, logPath } = this.#command;
    const log = this.#openLog();
    // In a process group of its own, so that Ctrl-C on the terminal reaches the apps through `stop` alone.
    const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', log?.fd ?? 'inherit'], detached: true });
    log?.close();
    const ended = this.#watchEnd(child);
    this.#state = { t: 'running', child, ended, readyAtMs: null };
    if (child.pid !== undefined) this.#tell({ t: 'started', app, pid: child.pid, deaths: this.#deaths, logPath });
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.#heard(child, line));
  }

  /** Null when the log of an app that has been ready cannot be opened: it is started again all the same, for its guests and peers. */
  #openLog(): ReturnType<typeof openLog> | null {
    const { app, logPath } = this.#command;
    try {
      return openLog(logPath);
    } catch (thrown) {
      if (!this.#everReady) throw thrown;
      this.#tell({ t: 'unlogged', app, logPath, reason: VmferryError.from(thrown).message });
      return null;
    }
  }

  #watchEnd(child: ChildProcess): Promise<void> {
    return new Promise((resolve) => {
      const ended = (exitCode: number | null, signal: NodeJS.Signals | null) => {
        this.#ended(child.pid ?? null, exitCode, signal);
        resolve();
      };
      child.once('exit', ended);
      // An app that could not even be spawned has no exit.
      child.once('error', () => ended(null, null));
    });
  }

  #heard(child: ChildProcess, line: string): void {
    const url = readyUrl(line);
    if (url === null || this.#state.t !== 'running' || this.#state.child !== child) return;
    this.#state.readyAtMs = this.#clock.monotonicMs();
    this.#everReady = true;
    this.#tell({ t: 'ready', app: this.#command.app, pid: child.pid ?? 0, url });
    this.#announce?.ready(url);
  }

  #ended(pid: number | null, exitCode: number | null, signal: NodeJS.Signals | null): void {
    if (this.#state.t !== 'running') return;
    const { app, logPath } = this.#command;
    if (!this.#everReady && signal === null) {
      this.#state = { t: 'idle' };
      const reason = lastWords(logPath);
      this.#tell({ t: 'gave-up', app, exitCode, reason, logPath });
      this.#announce?.gaveUp(new GaveUp(reason));
      return;
    }
    const { readyAtMs } = this.#state;
    if (readyAtMs !== null && this.#clock.monotonicMs() - readyAtMs >= recoveredAfterMs) this.#deaths = 0;
    const restartInMs = Math.min(restartMsFirst * 2 ** this.#deaths, restartMsMax);
    this.#deaths += 1;
    this.#state = { t: 'waiting', timer: this.#clock.after(restartInMs, () => this.#spawn()) };
    this.#tell({ t: 'died', app, pid, exitCode, signal, restartInMs });
  }
}
