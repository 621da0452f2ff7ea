import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { getuid } from 'node:process';
import { type AuditCopyName, auditCopies, auditCopiesIn } from '@vmferry/audit';
import { VmferryError } from '@vmferry/errors';
import type { PortRange } from '@vmferry/guest';
import { exitUsage, type LogLevel, logLevels } from '@vmferry/service';
import { Command, InvalidArgumentError, Option } from 'commander';

/** Those of `--security-driver`: one, or the owners of files and beside them what the kernel confines a process by. */
const securityDrivers = ['dac', 'none', 'selinux', 'apparmor', 'dac,selinux', 'dac,apparmor'] as const;
export type SecurityDrivers = (typeof securityDrivers)[number];

/** The options that both agents take. Durations are in the unit that the name ends with. */
export interface AgentOptions {
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly listen: string;
  readonly publicUrl?: string;
  readonly hostName: string;
  readonly tokenFile?: string;
  readonly peerTokenFile?: string;
  readonly peer: string[];
  readonly logLevel: LogLevel;
  readonly relay?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly migrateTlsDir?: string;
  readonly spiceTlsDir?: string;
  readonly displayPorts: PortRange;
  readonly emulator?: string;
  readonly qemuUser?: string;
  readonly imageRoot: string[];
  readonly network: string[];
  readonly lockDriver: 'embedded' | 'sanlock' | 'etcd' | 'none';
  readonly sanlockFolder?: string;
  readonly sanlockHostId?: number;
  readonly sanlockRunDir?: string;
  readonly sanlockNoWatchdog?: true;
  readonly etcd: string[];
  readonly etcdPrefix: string;
  readonly etcdCert?: string;
  readonly etcdKey?: string;
  readonly etcdCa?: string;
  readonly securityDriver: SecurityDrivers;
  readonly auditSink: AuditCopyName[];
  readonly sessionTtlSeconds: number;
  readonly retryMs: number;
}

/** The unprivileged user of a root agent's QEMU when none is named: nobody, on every Debian. */
const qemuUserDefault = '65534:65534';

/** Read from the environment too, as VMFERRY_ and its name. */
function option(flags: string, text: string): Option {
  const made = new Option(flags, text);
  return made.env(`VMFERRY_${made.name().toUpperCase().replaceAll('-', '_')}`);
}

/** A command with the options that both agents take. */
export function agentCommand(name: string, description: string): Command {
  const isRoot = getuid?.() === 0;
  const command = new Command(name)
    .description(description)
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : exitUsage))
    .addOption(option('--state-dir <dir>', "the host's state folder, shared by its apps (required)").makeOptionMandatory())
    .addOption(option('--runtime-dir <dir>', 'a short path for sockets, at most 60 bytes (required)').makeOptionMandatory())
    .addOption(option('--listen <host:port>', 'where to listen; port 0 takes any').default('127.0.0.1:0'))
    .addOption(option('--public-url <url>', 'under which other hosts reach this agent (default: the address it listens on)'))
    .addOption(option('--host-name <name>', 'of this host, when its state folder is made').default(hostname()))
    .addOption(option('--token-file <file>', 'credentials; without it only loopback is served'))
    .addOption(option('--peer-token-file <file>', "what this agent shows its host's apps and its peers"))
    .addOption(urlsOption(option('--peer <url...>', 'the agents of other hosts that are shown the peer token')))
    .addOption(
      option('--log-level <level>', 'of the JSON lines on stderr')
        .choices([...logLevels])
        .default('info'),
    )
    .addOption(option('--relay <url>', "this host's tunnel-relay; without it migrations are direct"))
    .addOption(option('--tls-cert <file>', 'PEM; what this agent shows a relay at https://'))
    .addOption(option('--tls-key <file>', 'the key of --tls-cert'))
    .addOption(option('--tls-ca <file>', 'who signs the certificate of the relay'))
    .addOption(
      option(
        '--migrate-tls-dir <dir>',
        "certificates of this host's QEMUs, for migrations with the flag TLS: ca-cert.pem, and server- and client- each with -cert.pem and -key.pem; readable for --qemu-user",
      ).argParser((text: string) => resolve(text)),
    )
    .addOption(option('--emulator <path>', 'the QEMU of this host'))
    .addOption(
      option('--qemu-user <uid:gid>', 'whom QEMU runs as when the agent is root').default(isRoot ? qemuUserDefault : undefined),
    )
    .addOption(option('--image-root <dir...>', 'folders below which disks and the files of save images may lie').default(['/']))
    .addOption(
      option('--security-driver <drivers>', 'who labels QEMU and its files; one, or dac and one beside it')
        .choices([...securityDrivers])
        .default(isRoot ? 'dac' : 'none'),
    )
    .addOption(
      auditSinkOption(
        option(
          '--audit-sink <sink...>',
          "where audit records go besides the file: kernel (the kernel's audit), syslog (/dev/log)",
        ),
      ),
    )
    .addOption(
      wholeNumberOption(option('--session-ttl-seconds <n>', 'of a control session that does not say, 1 to 300'), 1, 300).default(
        15,
      ),
    )
    .addOption(
      wholeNumberOption(
        option('--retry-ms <n>', 'between two tries of what waits for another host, 10 to 60000'),
        10,
        60_000,
      ).default(500),
    );
  for (const each of [...networkOptions(), ...lockOptions()]) command.addOption(each);
  return command;
}

function lockOptions(): readonly Option[] {
  return [
    option('--lock-driver <driver>', 'who arbitrates the leases')
      .choices(['embedded', 'sanlock', 'etcd', 'none'])
      .default('embedded'),
    option('--sanlock-folder <dir>', 'with --lock-driver sanlock: its leases, on a file system that all hosts share'),
    wholeNumberOption(
      option('--sanlock-host-id <n>', 'with --lock-driver sanlock: of this host and no other, 1 to 2000'),
      1,
      2_000,
    ),
    option('--sanlock-run-dir <dir>', 'where the socket of its daemon is (default: where sanlock has it)'),
    option('--sanlock-no-watchdog', 'take a sanlock daemon without watchdog: nothing ends the guests of a host that is cut off'),
    urlsOption(option('--etcd <url...>', 'the members of the etcd of --lock-driver etcd')),
    option('--etcd-prefix <text>', 'what the keys in the etcd begin with').default('/vmferry/leases/'),
    option('--etcd-cert <file>', 'PEM; what this agent shows an etcd at https://'),
    option('--etcd-key <file>', 'the key of --etcd-cert'),
    option('--etcd-ca <file>', 'who signs the certificates of the etcd'),
  ];
}

function networkOptions(): readonly Option[] {
  return [
    option(
      '--network <name=where...>',
      'what a network of definitions is on this host: NAME=bridge:BRIDGE, or NAME=direct:DEVICE[:MODE] for macvtaps',
    ).default([]),
    option(
      '--spice-tls-dir <dir>',
      "certificates of this host's SPICE displays: ca-cert.pem, server-cert.pem and server-key.pem; readable for --qemu-user",
    ).argParser((text: string) => resolve(text)),
    portRangeOption(
      option('--display-ports <first-last>', 'of displays that leave the choice to the host (autoport), from 5900'),
      5_900,
    ).default({ first: 5_900, last: 65_535 }, '5900-65535'),
  ];
}

/** URLs one by one or in one word, as from the environment. */
function urlsOption(option: Option): Option {
  return option.argParser((text: string, before: readonly string[]) => [...before, ...text.split(/[\s,]+/)]).default([]);
}

/** One by one or in one word, as URLs are. */
function auditSinkOption(option: Option): Option {
  const parse = (text: string, before: readonly AuditCopyName[]) => {
    const named = auditCopiesIn(text);
    if (named === null) throw new InvalidArgumentError(`give ${auditCopies.join(' or ')}`);
    return [...before, ...named];
  };
  return option.argParser(parse).default([]);
}

/** A whole number from `min` to `max`. */
export function wholeNumberOption(option: Option, min: number, max: number): Option {
  return option.argParser((text: string) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`give a whole number from ${min} to ${max}`);
  });
}

/** FIRST-LAST, both from `min` to 65,535. */
export function portRangeOption(option: Option, min: number, countMax = 65_536): Option {
  return option.argParser((text: string): PortRange => {
    const [, first = 0, last = 0] = (/^(\d{4,5})-(\d{4,5})$/.exec(text) ?? []).map(Number);
    if (first >= min && first <= last && last <= 65_535 && last - first < countMax) return { first, last };
    const atMost = countMax > 65_535 ? '' : `, of ${countMax} ports at most`;
    throw new InvalidArgumentError(`give FIRST-LAST, from ${min} to 65535${atMost}`);
  });
}

/** `UID:GID` as numbers; root is refused, because QEMU is not trusted (threats, row 14). */
export function parseUser(text: string | undefined): { readonly uid: number; readonly gid: number } | null {
  if (text === undefined) return null;
  const match = /^(\d{1,9}):(\d{1,9})$/.exec(text);
  const [, uid = '0', gid = '0'] = match ?? [];
  if (match !== null && Number(uid) !== 0) return { uid: Number(uid), gid: Number(gid) };
  throw new VmferryError('invalid-argument', `--qemu-user is "${text}"; give UID:GID in digits, and not root.`);
}
