import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DestinationAgentClient, RelayClient, SourceAgentClient } from '@vmferry/client';
import { type TlsFiles, TlsIdentity } from '@vmferry/tls';
import { AppProcess } from './app-process.js';

/** Timers small enough for a test; seconds as the apps take them. */
export interface HostTimers {
  readonly sessionTtlSeconds: number;
  readonly attachTimeoutSeconds: number;
  readonly stallTimeoutSeconds: number;
  readonly retryMs: number;
}

export const quickTimers: HostTimers = { sessionTtlSeconds: 2, attachTimeoutSeconds: 5, stallTimeoutSeconds: 3, retryMs: 100 };

export interface HostOptions {
  readonly name: string;
  /** The folder of this host; its state and its sockets go below it. Short, because unix sockets are. */
  readonly folder: string;
  readonly timers?: HostTimers;
  readonly lockDriver?: 'embedded' | 'sanlock' | 'etcd' | 'none';
  /** Of the lock driver sanlock, whose daemon runs without watchdog. */
  readonly sanlock?: { readonly folder: string; readonly hostId: number; readonly runDir: string };
  /** The members of the etcd of the lock driver. */
  readonly etcd?: readonly string[];
  /** What the destination-agent offers; both by default. */
  readonly protocols?: 'v3' | 'v2';
  /** What networks are on it, as NAME=bridge:BRIDGE. */
  readonly network?: readonly string[];
  /** The certificates of its apps; with them its relay speaks TLS. */
  readonly certificates?: { readonly relay: TlsFiles; readonly agents: TlsFiles };
  /** The folder with the certificates of its QEMUs. */
  readonly migrateTlsDir?: string;
  /** The folder with the certificates of its SPICE displays. */
  readonly spiceTlsDir?: string;
  /** Ports of its displays, as FIRST-LAST. */
  readonly displayPorts?: string;
  /** Ports that its QEMUs may listen on, as FIRST-LAST; and whether without TLS too. */
  readonly migrationPorts?: string;
  readonly insecureMigrationPorts?: boolean;
  /** Who may ask its apps, and what its agents show others; this host's clients show `token`. */
  readonly credentials?: { readonly tokenFile: string; readonly peerTokenFile: string; readonly token: string };
  /** The agents of other hosts, as far as they are known when an app is started. */
  readonly peers?: () => readonly string[];
}

/** Faults of the first life of each app, as VMFERRY_FAULT takes them. */
export type Faults = Partial<Record<'source' | 'destination' | 'relay', string>>;

/** One host on loopback: its state folder and its three apps, as real processes. */
export class Host {
  readonly name: string;
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly relay: AppProcess;
  readonly source: AppProcess;
  readonly destination: AppProcess;

  readonly #shown: TlsIdentity | null;
  readonly #shownToken: { readonly token?: string };

  constructor(options: HostOptions) {
    this.#shown = options.certificates === undefined ? null : new TlsIdentity(options.certificates.agents);
    const timers = options.timers ?? quickTimers;
    this.name = options.name;
    this.stateDir = join(options.folder, 'state');
    this.runtimeDir = join(options.folder, 'run');
    const { credentials, peers = () => [] } = options;
    this.#shownToken = credentials === undefined ? {} : { token: credentials.token };
    const common = [
      ...['--state-dir', this.stateDir, '--host-name', options.name, '--log-level', 'debug'],
      ...(credentials === undefined ? [] : ['--token-file', credentials.tokenFile]),
    ];
    const agent = () => [
      ...common,
      ...['--runtime-dir', this.runtimeDir],
      ...['--relay', this.relay.url],
      ...(credentials === undefined ? [] : ['--peer-token-file', credentials.peerTokenFile]),
      ...peers().flatMap((url) => ['--peer', url]),
      ...tlsArguments(options.certificates?.agents),
      ...(options.migrateTlsDir === undefined ? [] : ['--migrate-tls-dir', options.migrateTlsDir]),
      ...(options.spiceTlsDir === undefined ? [] : ['--spice-tls-dir', options.spiceTlsDir]),
      ...(options.displayPorts === undefined ? [] : ['--display-ports', options.displayPorts]),
      ...['--lock-driver', options.lockDriver ?? 'embedded'],
      ...(options.network ?? []).flatMap((network) => ['--network', network]),
      ...sanlockArguments(options.sanlock),
      ...(options.etcd ?? []).flatMap((url) => ['--etcd', url]),
      ...['--session-ttl-seconds', String(timers.sessionTtlSeconds), '--retry-ms', String(timers.retryMs)],
    ];
    const log = (name: string) => join(options.folder, `${name}.log`);
    this.relay = new AppProcess('tunnel-relay', log('tunnel-relay'), () => [
      ...common,
      '--runtime-dir',
      join(options.folder, 'relay'),
      ...tlsArguments(options.certificates?.relay),
    ]);
    this.source = new AppProcess('source-agent', log('source-agent'), agent);
    this.destination = new AppProcess('destination-agent', log('destination-agent'), () => [
      ...agent(),
      ...['--source-agent', this.source.url],
      ...['--attach-timeout-seconds', String(timers.attachTimeoutSeconds)],
      ...['--stall-timeout-seconds', String(timers.stallTimeoutSeconds)],
      ...(options.protocols === undefined ? [] : ['--protocols', options.protocols]),
      ...(options.migrationPorts === undefined ? [] : ['--migration-ports', options.migrationPorts]),
      ...(options.insecureMigrationPorts === true ? ['--insecure-migration-ports'] : []),
    ]);
  }

  async start(faults: Faults = {}): Promise<this> {
    await mkdir(this.stateDir, { recursive: true, mode: 0o700 });
    await mkdir(this.runtimeDir, { recursive: true, mode: 0o711 });
    await this.relay.start(faults.relay);
    await this.source.start(faults.source);
    await this.destination.start(faults.destination);
    return this;
  }

  /** New clients, so that no connection of an earlier life is used. */
  sourceClient(): SourceAgentClient {
    return new SourceAgentClient(this.source.url, this.#shownToken);
  }

  destinationClient(): DestinationAgentClient {
    return new DestinationAgentClient(this.destination.url, this.#shownToken);
  }

  relayClient(): RelayClient {
    return new RelayClient(this.relay.url, { tls: this.#shown, ...this.#shownToken });
  }

  get apps(): readonly AppProcess[] {
    return [this.destination, this.source, this.relay];
  }

  async stop(): Promise<void> {
    for (const app of this.apps) await app.stop();
  }

  async kill(): Promise<void> {
    for (const app of this.apps) await app.kill();
  }
}

function tlsArguments(files: TlsFiles | undefined): readonly string[] {
  return files === undefined ? [] : ['--tls-cert', files.cert, '--tls-key', files.key, '--tls-ca', files.ca];
}

function sanlockArguments(sanlock: HostOptions['sanlock']): readonly string[] {
  if (sanlock === undefined) return [];
  const { folder, hostId, runDir } = sanlock;
  return ['--sanlock-folder', folder, '--sanlock-host-id', String(hostId), '--sanlock-run-dir', runDir, '--sanlock-no-watchdog'];
}
