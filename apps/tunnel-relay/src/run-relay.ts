import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { limits } from '@vmferry/api';
import { type AuditCopyName, auditCopies, auditCopiesIn, openAudit } from '@vmferry/audit';
import { VmferryError } from '@vmferry/errors';
import { openHostState, takeAgentLock } from '@vmferry/host-state';
import { faultPointsFrom, systemClock, systemRandom } from '@vmferry/seams';
import {
  checkRuntimeDir,
  createLogger,
  exitUsage,
  type Log,
  type LogLevel,
  loadAuthenticator,
  logLevels,
  openTlsIdentity,
  parseListenAddress,
  type RunningApp,
  runApp,
} from '@vmferry/service';
import { Command, InvalidArgumentError, Option } from 'commander';
import { prepareWorkers } from './pump/index.js';
import { createRelay } from './relay.js';

interface Settings {
  readonly stateDir: string;
  readonly hostName: string;
  readonly runtimeDir: string;
  readonly listen: string;
  readonly publicUrl?: string;
  readonly tokenFile?: string;
  readonly attachTimeoutSeconds: number;
  readonly silenceSeconds: number;
  readonly drainSeconds: number;
  readonly bandwidthMibPerSec: number;
  readonly logLevel: LogLevel;
  readonly auditSink: readonly AuditCopyName[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
}

/** The life of a relay process, from its arguments to its end. `faultPlan` is what `VMFERRY_FAULT` says, for tests. */
export async function runRelay(argv: readonly string[], faultPlan: string | undefined): Promise<void> {
  const settings = readSettings(argv);
  // Sockets and files of the relay are its own user's only (threats, row 11).
  process.umask(0o077);
  const log = createLogger({ app: 'tunnel-relay', level: settings.logLevel, hostName: settings.hostName });
  await runApp(log, () => startRelay(settings, faultPlan, log));
}

async function startRelay(settings: Settings, faultPlan: string | undefined, log: Log): Promise<RunningApp> {
  checkRuntimeDir(settings.runtimeDir);
  const at = parseListenAddress(settings.listen);
  const tls = openTlsIdentity(settings, log);
  const publicUrl = checkedUrl(settings.publicUrl, tls === null ? 'http' : 'https');
  const authenticator = loadAuthenticator(settings.tokenFile);
  const faults = faultPointsFrom(faultPlan);
  const lock = takeAgentLock(settings.stateDir, 'tunnel-relay');
  const host = await openHostState({
    stateDir: settings.stateDir,
    defaults: { hostName: settings.hostName, random: systemRandom },
    report: (setAside) => log.error('a file of the state folder cannot be read and was set aside', { setAside }),
    faults,
  });
  const auditor = await openAudit({
    app: 'tunnel-relay',
    path: join(settings.stateDir, 'tunnel-relay.audit'),
    copies: settings.auditSink,
    clock: systemClock,
    log,
  });
  const relay = createRelay({
    host: host.identity,
    version: ownVersion(),
    runtimeDir: settings.runtimeDir,
    publicUrl,
    timers: { attachMs: settings.attachTimeoutSeconds * 1_000, silenceMs: settings.silenceSeconds * 1_000 },
    bandwidthMibPerSec: settings.bandwidthMibPerSec,
    authenticator,
    auditor,
    tls,
    holdsState: () => lock.holds(),
    clock: systemClock,
    random: systemRandom,
    faults,
    log,
  });
  prepareWorkers(1);
  const { url } = await relay.listen(at);
  return {
    service: relay.service,
    url,
    finish: (hurry) => relay.streams.drain(settings.drainSeconds * 1_000, hurry),
    async close() {
      relay.streams.removeFolder();
      await auditor.close();
      lock.release();
    },
  };
}

/** Named as the agents name theirs, and each is read from the environment too, as VMFERRY_ and its name. */
function readSettings(argv: readonly string[]): Settings {
  const option = (flags: string, text: string) => {
    const made = new Option(flags, text);
    return made.env(`VMFERRY_${made.name().toUpperCase().replaceAll('-', '_')}`);
  };
  return new Command('tunnel-relay')
    .description('Moves migration bytes between hosts.')
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : exitUsage))
    .addOption(
      option('--state-dir <dir>', 'the state folder of this host, shared with its agents (required)').makeOptionMandatory(),
    )
    .addOption(
      option('--host-name <name>', 'the name of this host, kept when its state folder is first used').default(hostname()),
    )
    .addOption(option('--runtime-dir <dir>', 'a short path for unix sockets, at most 60 bytes (required)').makeOptionMandatory())
    .addOption(option('--listen <host:port>', 'where to listen; port 0 takes any').default('127.0.0.1:0'))
    .addOption(option('--public-url <url>', 'how peers reach this relay, when that is not where it listens'))
    .addOption(
      option('--token-file <file>', 'JSON {tokens:[{name, sha256, permissions}]}; without it the relay stays on loopback'),
    )
    .addOption(
      option('--attach-timeout-seconds <n>', "from the arrival of a stream's first end to that of its second")
        .argParser(whole('seconds', 1, 3_600))
        .default(60),
    )
    .addOption(
      option('--silence-seconds <n>', 'how long a stream may move no byte; 0: for ever, since a paused migration is silent')
        .argParser(whole('seconds', 0, 86_400))
        .default(0),
    )
    .addOption(
      option('--drain-seconds <n>', 'how long streams may go on after SIGTERM')
        .argParser(whole('seconds', 0, 3_600))
        .default(30),
    )
    .addOption(
      option('--bandwidth-mib-per-sec <n>', 'what all streams together may move in each direction; 0: no cap')
        .argParser(whole('MiB per second', 0, limits.bandwidthMibPerSecMax))
        .default(0),
    )
    .addOption(option('--tls-cert <file>', 'PEM; with it the relay speaks HTTPS alone, and each caller shows a certificate'))
    .addOption(option('--tls-key <file>', 'the key of --tls-cert'))
    .addOption(option('--tls-ca <file>', 'who signs the certificates of this relay, its peers and its callers'))
    .addOption(
      option('--audit-sink <sink...>', "where audit records go besides the file: kernel (the kernel's audit), syslog (/dev/log)")
        .argParser(auditSinks)
        .default([]),
    )
    .addOption(option('--log-level <level>', 'what is logged').choices(logLevels).default('info'))
    .parse(argv)
    .opts<Settings>();
}

function whole(unit: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,7}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give whole ${unit} from ${min} to ${max}.`);
  };
}

function auditSinks(text: string, before: readonly AuditCopyName[]): AuditCopyName[] {
  const named = auditCopiesIn(text);
  if (named === null) throw new InvalidArgumentError(`Give ${auditCopies.join(' or ')}.`);
  return [...before, ...named];
}

function checkedUrl(text: string | undefined, scheme: 'http' | 'https'): string | undefined {
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === `${scheme}:` && url.pathname === '/' && url.search === '' && url.username === '') return url.origin;
  throw new VmferryError('invalid-argument', `--public-url has to be ${scheme}://HOST:PORT without a path, not "${text}".`);
}

function ownVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const named = typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : undefined;
  return typeof named === 'string' ? named : 'unknown';
}
