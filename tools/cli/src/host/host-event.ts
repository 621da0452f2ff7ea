import type { AppName } from './app-command.js';

/** What happens to the apps of a host, in the words of whoever watches `vmferry host up`. */
export type HostEvent =
  | { readonly t: 'started'; readonly app: AppName; readonly pid: number; readonly deaths: number; readonly logPath: string }
  | { readonly t: 'ready'; readonly app: AppName; readonly pid: number; readonly url: string }
  | {
      readonly t: 'died';
      readonly app: AppName;
      readonly pid: number | null;
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly restartInMs: number;
    }
  | {
      readonly t: 'gave-up';
      readonly app: AppName;
      readonly exitCode: number | null;
      readonly reason: string;
      readonly logPath: string;
    }
  | { readonly t: 'unlogged'; readonly app: AppName; readonly logPath: string; readonly reason: string }
  | { readonly t: 'not-started'; readonly reason: string }
  | { readonly t: 'up'; readonly urls: Readonly<Partial<Record<AppName, string>>> }
  | { readonly t: 'hung-up' }
  | { readonly t: 'stopping'; readonly signal: string }
  | { readonly t: 'killed'; readonly app: AppName; readonly pid: number; readonly afterMs: number }
  | { readonly t: 'stopped'; readonly app: AppName }
  | { readonly t: 'down'; readonly wasUp: boolean };

/** One readable line for an event. */
export function hostEventLine(event: HostEvent): string {
  switch (event.t) {
    case 'started':
      return event.deaths === 0
        ? `${event.app}: started, pid ${event.pid}, log ${event.logPath}`
        : `${event.app}: restarted, pid ${event.pid}, after ${event.deaths} ${event.deaths === 1 ? 'death' : 'deaths'} in a row`;
    case 'ready':
      return `${event.app}: ready at ${event.url}`;
    case 'died': {
      const how = event.signal === null ? `ended with exit code ${event.exitCode}` : `died of ${event.signal}`;
      return `${event.app}: ${how}; guests run on; restart in ${event.restartInMs} ms`;
    }
    case 'gave-up':
      return `${event.app}: cannot start (exit code ${event.exitCode}): ${event.reason.replace(/\.$/, '')}; see ${event.logPath}`;
    case 'unlogged':
      return `${event.app}: its log ${event.logPath} cannot be opened (${event.reason}); until its next start it goes to this command's stderr`;
    case 'not-started':
      return `the apps cannot be started: ${event.reason}`;
    case 'up':
      return `host is up: domains at ${event.urls['source-agent']}, migrations to it go to ${event.urls['destination-agent']}`;
    case 'hung-up':
      return 'SIGHUP: the apps look at their certificates again';
    case 'stopping':
      return `${event.signal}: stopping the apps`;
    case 'killed':
      return `${event.app}: did not end within ${event.afterMs} ms; pid ${event.pid} was killed`;
    case 'stopped':
      return `${event.app}: stopped`;
    case 'down':
      return event.wasUp
        ? 'host is down; guests that ran go on running, and the next `vmferry host up` of this state folder takes them up again'
        : 'this command has brought no host up';
  }
}

/** The same event for a program: one line of JSON. */
export function hostEventJson(event: HostEvent, at: Date): string {
  const { t, ...facts } = event;
  return JSON.stringify({ event: t, at: at.toISOString(), ...facts });
}
