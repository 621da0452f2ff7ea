import { VmferryError } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';
import { type OnSignal, onSignals } from '../signals.js';
import type { AppCommand, AppName } from './app-command.js';
import type { HostEvent } from './host-event.js';
import { GaveUp, SupervisedApp } from './supervised-app.js';

export interface HostSeams {
  readonly clock: Clock;
  readonly tell: (event: HostEvent) => void;
  /** Calls the listener at each SIGINT or SIGTERM until the returned function is called. */
  readonly onStopSignal: OnSignal;
  /** The same of SIGHUP, for certificates that were replaced. */
  readonly onHangUp: OnSignal;
}

/**
 * Runs the apps of a host until SIGINT or SIGTERM. Exit code 0 after an orderly stop, 1 when an app cannot start. A second
 * signal, half a second later or more, kills what has not ended yet. Guests are no children of the apps: they run on. SIGHUP is passed on to the
 * apps, which read their certificates again.
 */
export async function runHost(commands: readonly AppCommand[], seams: HostSeams): Promise<0 | 1> {
  const apps = commands.map((command) => ({ app: command.app, supervised: new SupervisedApp(command, seams) }));
  const asked = new AbortController();
  const impatient = new AbortController();
  const release = onSignals(seams.onStopSignal, seams.clock, {
    first: (signal) => {
      seams.tell({ t: 'stopping', signal });
      asked.abort();
    },
    again: () => impatient.abort(),
  });
  const releaseHangUp = seams.onHangUp(() => {
    seams.tell({ t: 'hung-up' });
    for (const { supervised } of apps) supervised.hangUp();
  });
  const stop = new Promise<0>((resolve) => asked.signal.addEventListener('abort', () => resolve(0), { once: true }));
  let wasUp = false;
  const tell = (event: HostEvent) => {
    wasUp ||= event.t === 'up';
    seams.tell(event);
  };
  const exitCode = await Promise.race([stop, bringUp(apps, tell)]);
  await Promise.all(apps.map(({ supervised }) => supervised.stop(impatient.signal)));
  release();
  releaseHangUp();
  seams.tell({ t: 'down', wasUp });
  return exitCode;
}

/** Settles only when an app cannot start, with the exit code for that. */
async function bringUp(
  apps: readonly { app: AppName; supervised: SupervisedApp }[],
  tell: (event: HostEvent) => void,
): Promise<1> {
  const [first, ...others] = apps;
  if (first === undefined) return 1;
  try {
    // The first app alone makes the identity of a new state folder; the others find it there.
    const urls: [AppName, string][] = [[first.app, await first.supervised.start()]];
    urls.push(
      ...(await Promise.all(
        others.map(async ({ app, supervised }): Promise<[AppName, string]> => [app, await supervised.start()]),
      )),
    );
    tell({ t: 'up', urls: Object.fromEntries(urls) });
    return await new Promise<never>(() => undefined);
  } catch (thrown) {
    // An app that gave up has been told of; what kept it from being started at all has not.
    if (!(thrown instanceof GaveUp)) tell({ t: 'not-started', reason: VmferryError.from(thrown).message });
    return 1;
  }
}
