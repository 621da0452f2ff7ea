import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';

export type AppName = 'source-agent' | 'destination-agent' | 'tunnel-relay';

/** How one app is started. stdout tells when it is ready; stderr, its log, goes to `logPath`. */
export interface AppCommand {
  readonly app: AppName;
  readonly command: string;
  readonly args: readonly string[];
  readonly logPath: string;
}

/** What `vmferry host up` is asked for. Values of the apps' own flags are passed on as they are: each app checks its own. */
export interface HostOptions {
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly portBase: number;
  /** The address that the apps listen on. */
  readonly listen: string;
  readonly name?: string;
  readonly tokenFile?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly migrateTlsDir?: string;
  readonly spiceTlsDir?: string;
  readonly displayPorts?: string;
  readonly migrationPorts?: string;
  readonly migrationAddress?: string;
  readonly insecureMigrationPorts?: true;
  readonly logLevel?: string;
  readonly emulator?: string;
  readonly qemuUser?: string;
  readonly network?: readonly string[];
  readonly lockDriver?: string;
  readonly sanlockFolder?: string;
  readonly sanlockHostId?: number;
  readonly sanlockRunDir?: string;
  readonly sanlockNoWatchdog?: true;
  readonly etcd?: readonly string[];
  readonly etcdPrefix?: string;
  readonly etcdCert?: string;
  readonly etcdKey?: string;
  readonly etcdCa?: string;
  readonly securityDriver?: string;
  readonly auditSink?: readonly string[];
  readonly sessionTtlSeconds?: number;
  readonly retryMs?: number;
  readonly attachTimeoutSeconds?: number;
  readonly stallTimeoutSeconds?: number;
}

/** Ports of the three apps: the source-agent's is BASE+1, so that the default of the other commands finds it. */
const portOf = (app: AppName, portBase: number): number =>
  portBase + { 'source-agent': 1, 'destination-agent': 2, 'tunnel-relay': 3 }[app];

/** The three commands of a host, the source-agent first. */
export function hostCommands(options: HostOptions): readonly AppCommand[] {
  return (['source-agent', 'destination-agent', 'tunnel-relay'] as const).map((app) => ({
    app,
    command: execPath,
    args: [entryOf(app), ...commonFlags(app, options), ...ownFlags(app, options)],
    logPath: `${options.stateDir}/logs/${app}.log`,
  }));
}

/** The CLI is a package of the workspace; src/host and dist/host lie equally deep. */
function entryOf(app: AppName): string {
  return fileURLToPath(new URL(`../../../../apps/${app}/dist/main.js`, import.meta.url));
}

function commonFlags(app: AppName, options: HostOptions): string[] {
  return [
    ...flag('state-dir', options.stateDir),
    ...flag('runtime-dir', options.runtimeDir),
    ...flag('listen', `${bracketed(options.listen)}:${portOf(app, options.portBase)}`),
    ...flag('host-name', options.name),
    ...flag('token-file', options.tokenFile),
    ...flag('log-level', options.logLevel),
    ...(options.auditSink ?? []).flatMap((name) => flag('audit-sink', name)),
    // The relay speaks TLS with it; the agents show it to their relay.
    ...flag('tls-cert', options.tlsCert),
    ...flag('tls-key', options.tlsKey),
    ...flag('tls-ca', options.tlsCa),
  ];
}

function ownFlags(app: AppName, options: HostOptions): string[] {
  switch (app) {
    case 'source-agent':
      return agentFlags(options);
    case 'destination-agent':
      return [
        ...agentFlags(options),
        ...flag('migration-ports', options.migrationPorts),
        ...flag('migration-address', options.migrationAddress),
        ...(options.insecureMigrationPorts === true ? ['--insecure-migration-ports'] : []),
        ...flag('source-agent', urlOf('source-agent', options)),
        ...flag('attach-timeout-seconds', options.attachTimeoutSeconds),
        ...flag('stall-timeout-seconds', options.stallTimeoutSeconds),
      ];
    case 'tunnel-relay':
      return flag('attach-timeout-seconds', options.attachTimeoutSeconds);
  }
}

function agentFlags(options: HostOptions): string[] {
  return [
    ...flag('relay', urlOf('tunnel-relay', options)),
    ...flag('migrate-tls-dir', options.migrateTlsDir),
    ...flag('spice-tls-dir', options.spiceTlsDir),
    ...flag('display-ports', options.displayPorts),
    ...flag('emulator', options.emulator),
    ...flag('qemu-user', options.qemuUser),
    ...flag('lock-driver', options.lockDriver),
    ...(options.network ?? []).flatMap((network) => flag('network', network)),
    ...flag('sanlock-folder', options.sanlockFolder),
    ...flag('sanlock-host-id', options.sanlockHostId),
    ...flag('sanlock-run-dir', options.sanlockRunDir),
    ...(options.sanlockNoWatchdog === true ? ['--sanlock-no-watchdog'] : []),
    ...(options.etcd ?? []).flatMap((url) => flag('etcd', url)),
    ...flag('etcd-prefix', options.etcdPrefix),
    ...flag('etcd-cert', options.etcdCert),
    ...flag('etcd-key', options.etcdKey),
    ...flag('etcd-ca', options.etcdCa),
    ...flag('security-driver', options.securityDriver),
    ...flag('session-ttl-seconds', options.sessionTtlSeconds),
    ...flag('retry-ms', options.retryMs),
  ];
}

/** The apps of one host talk to each other at the address they listen on; an unspecified one is reached through loopback. */
function urlOf(app: AppName, { listen, portBase, tlsCert }: HostOptions): string {
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '::1' }[listen] ?? listen;
  const scheme = app === 'tunnel-relay' && tlsCert !== undefined ? 'https' : 'http';
  return `${scheme}://${bracketed(reachable)}:${portOf(app, portBase)}`;
}

const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address);

const flag = (name: string, value: string | number | undefined): string[] =>
  value === undefined ? [] : [`--${name}`, String(value)];
