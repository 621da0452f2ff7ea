import { createLogger, type Log } from '@vmferry/service';

/** A log that a spec does not read; what goes wrong on purpose fills no terminal. */
export const silentLog: Log = {
  ...createLogger({ app: 'spec', level: 'error', hostName: 'spec', stream: process.stderr }),
  error: () => undefined,
  warn: () => undefined,
};

/** Lets every promise that is settled be noticed. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) await Promise.resolve();
}
