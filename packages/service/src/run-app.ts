import { VmferryError } from '@vmferry/errors';
import type { Log } from './log.js';
import type { Service } from './service.js';

export interface RunningApp {
  readonly service: Service;
  readonly url: string;
  /**
   * Lets end what goes on outside of requests, while the service refuses new work and still answers reads. `hurry` is aborted by a second
   * signal.
   */
  finish?(hurry: AbortSignal): Promise<void>;
  /** Gives back what the app holds (lock file, workers) after the service has drained. */
  close(): Promise<void>;
}

/** sysexits.h EX_SOFTWARE: a defect. */
const exitDefect = 70;
/** A command line that is wrong, as `vmferry` ends with it too. */
export const exitUsage = 2;

/**
 * The shared life of the three apps: start, one line `{"ready":true,"url":...}` on stdout, and a drain on SIGTERM or SIGINT. A second
 * signal ends at once, or when `finish` has cut short what it waited for. An error that nobody caught is logged and ends the process with status 70: what is on disk is made for that,
 * and going on after it is not. A start that is refused ends with status 1.
 */
export async function runApp(log: Log, start: () => Promise<RunningApp>): Promise<void> {
  process.on('uncaughtException', (error) => endByDefect(log, error));
  process.on('unhandledRejection', (error) => endByDefect(log, error));
  // Certificates that were replaced are read again (openTlsIdentity); an app that has none, or whose terminal has gone, does not end by it.
  process.on('SIGHUP', () => log.info('files that may be replaced are looked at again', { signal: 'SIGHUP' }));
  // Whoever started it may be gone, or its disk full: that is no reason to end.
  process.stdout.on('error', (error) => log.warn('the line that says ready could not be written', { error }));
  let app: RunningApp;
  try {
    app = await start();
  } catch (thrown) {
    log.error('cannot start', { error: VmferryError.from(thrown) });
    process.exit(1);
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(log, app, signal));
  process.stdout.write(`${JSON.stringify({ ready: true, url: app.url })}\n`);
  log.info('listening', { url: app.url });
}

const hurry = new AbortController();
let ending = false;

function end(log: Log, app: RunningApp, signal: NodeJS.Signals): void {
  if (ending) {
    // A third signal does not wait for a `finish` that hangs.
    if (app.finish === undefined || hurry.signal.aborted) process.exit(1);
    log.warn('cutting short what was to end by itself', { signal });
    hurry.abort();
    return;
  }
  ending = true;
  log.info('draining', { signal });
  drained(app).then(
    () => process.exit(hurry.signal.aborted ? 1 : 0),
    (error: unknown) => endByDefect(log, error),
  );
}

async function drained(app: RunningApp): Promise<void> {
  app.service.refuseWork();
  await app.finish?.(hurry.signal);
  if (hurry.signal.aborted) return;
  hurry.signal.addEventListener('abort', () => process.exit(1), { once: true });
  await app.service.drain();
  await app.close();
}

function endByDefect(log: Log, error: unknown): never {
  log.error('ended by a defect', { error });
  process.exit(exitDefect);
}
