import { VmferryError } from '@vmferry/errors';
import type { Log } from './log.js';
import type { Service } from './service.js';

export interface RunningApp {
  readonly service: Service;
  readonly url: string;
  /** Gives back what the app holds (lock file, workers) after the service has drained. */
  close(): Promise<void>;
}

/** sysexits.h EX_SOFTWARE: a defect. */
const exitDefect = 70;
/** A command line that is wrong, as `vmferry` ends with it too. */
export const exitUsage = 2;

/**
 * The shared life of the three apps: start, one line `{"ready":true,"url":...}` on stdout, and a drain on SIGTERM or SIGINT. A second
 * signal ends at once. An error that nobody caught is logged and ends the process with status 70: what is on disk is made for that,
 * and going on after it is not. A start that is refused ends with status 1.
 */
export async function runApp(log: Log, start: () => Promise<RunningApp>): Promise<void> {
  process.on('uncaughtException', (error) => endByDefect(log, error));
  process.on('unhandledRejection', (error) => endByDefect(log, error));
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

let ending = false;

function end(log: Log, app: RunningApp, signal: NodeJS.Signals): void {
  if (ending) process.exit(1);
  ending = true;
  log.info('draining', { signal });
  app.service
    .drain()
    .then(() => app.close())
    .then(
      () => process.exit(0),
      (error: unknown) => endByDefect(log, error),
    );
}

function endByDefect(log: Log, error: unknown): never {
  log.error('ended by a defect', { error });
  process.exit(exitDefect);
}
