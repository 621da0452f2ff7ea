import { resolve } from 'node:path';
import { limits } from '@vmferry/api';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { addressOf, domainNameOf, portBaseOf, seconds, wholeNumber } from '../arguments.js';
import { examples } from '../examples.js';
import { acts, type Call, type Room } from '../leaf.js';
import { type HostOptions, hostCommands } from './app-command.js';
import { runHost } from './host.js';
import { type HostEvent, hostEventJson, hostEventLine } from './host-event.js';
import { defaultRuntimeDir, makeRuntimeDir, removeEmptyRuntimeDir } from './runtime-dir.js';

type UpOptions = Omit<HostOptions, 'runtimeDir'> & { readonly runtimeDir?: string };

const behaviour = `
An app that dies is started again after 100 ms, doubled at each further death in a row up to 5 s; guests
do not notice. Ctrl-C or SIGTERM stops the apps and leaves the guests running; a second one kills what
has not ended. The logs are in DIR/logs.`;

/** `vmferry host ...`. */
const path = (text: string) => resolve(text);

export function addHostCommands(program: Command, room: Room): void {
  const host = program.command('host').description('run the apps of this host').summary('the apps of this host');
  const up = host
    .command('up')
    .summary('run the apps of this host and watch over them')
    .description('runs source-agent, destination-agent and tunnel-relay of one host in the foreground and restarts one that dies')
    .requiredOption('--state-dir <dir>', 'state folder of the host; made at first use, with the identity of the host', path)
    .option(
      '--name <name>',
      'name of the host, kept in the state folder at first use (default: the name of the machine)',
      domainNameOf,
    )
    .option(
      '--port-base <port>',
      'source-agent at port+1, destination-agent at port+2, tunnel-relay at port+3',
      portBaseOf,
      7_800,
    )
    .option('--listen <address>', 'address to listen on; another than loopback needs --token-file', listenAddress, '127.0.0.1')
    .option(
      '--runtime-dir <dir>',
      'short folder for sockets, at most 60 bytes (default: a folder of its own in /run, else $XDG_RUNTIME_DIR, else the folder for temporary files)',
      path,
    )
    .option('--token-file <file>', 'who may do what: a JSON file of tokens', path);
  addTls(up);
  addMigrationPorts(up);
  addQemuOptions(up);
  addTimers(up);
  up.addHelpText('after', behaviour).addHelpText(
    'after',
    examples(
      'host up --state-dir /var/lib/vmferry',
      'host up --state-dir /tmp/b --name host-b --port-base 7810',
      'host up --state-dir /var/lib/vmferry --json',
    ),
  );
  acts<UpOptions>(room, up, upCommand);
}

function addTls(up: Command): void {
  up.option('--tls-cert <file>', 'PEM, of the roles relay and agent: the memory of guests goes between the relays over TLS', path)
    .option('--tls-key <file>', 'the key of --tls-cert', path)
    .option('--tls-ca <file>', 'who signs the certificates of the hosts', path);
}

function addMigrationPorts(up: Command): void {
  up.option('--migrate-tls-dir <dir>', "certificates of this host's QEMUs, for `migrate --tls`; readable for --qemu-user", path)
    .option(
      '--migration-ports <first-last>',
      "ports that QEMUs may listen on for guests that come by a tcp: URI, such as libvirt's 49152-49215 (default: none listens)",
    )
    .option('--migration-address <address>', 'where they listen then (default: --listen)', addressOf)
    .option(
      '--insecure-migration-ports',
      'let them listen without TLS too: whoever connects first is taken for the source, so only where nobody else reaches the ports',
    );
}

function addQemuOptions(up: Command): void {
  up.option('--spice-tls-dir <dir>', "certificates of this host's SPICE displays; readable for --qemu-user", path)
    .option('--display-ports <first-last>', 'of displays that leave the choice to the host, autoport (default: 5900-65535)')
    .option('--emulator <path>', 'QEMU to run (default: qemu-system-x86_64)')
    .option(
      '--network <name=where...>',
      'what a network of definitions is on this host: NAME=bridge:BRIDGE, or NAME=direct:DEVICE[:MODE] for macvtaps',
    )
    .option('--qemu-user <uid:gid>', 'user and group of the guests, for root only (default: 65534:65534)', userOf)
    .addOption(
      new Option('--lock-driver <driver>', 'who guards that a guest runs once (default: embedded)').choices([
        'embedded',
        'sanlock',
        'etcd',
        'none',
      ]),
    )
    .option('--sanlock-folder <dir>', 'the leases of --lock-driver sanlock, on a file system that all hosts share', path)
    .option('--sanlock-host-id <n>', 'of this host and no other, 1 to 2000', wholeNumber(1, 2_000, 'host ids'))
    .option('--sanlock-run-dir <dir>', 'where the socket of the sanlock daemon is (default: where sanlock has it)', path)
    .option(
      '--sanlock-no-watchdog',
      'take a sanlock daemon without watchdog: nothing ends the guests of a host that is cut off from its leases',
    )
    .option('--etcd <url...>', 'the members of the etcd of --lock-driver etcd')
    .option('--etcd-prefix <text>', 'what the keys in the etcd begin with (default: /vmferry/leases/)')
    .option('--etcd-cert <file>', 'PEM; what the agents show an etcd at https://, with --etcd-key and --etcd-ca', path)
    .option('--etcd-key <file>', 'the key of --etcd-cert', path)
    .option('--etcd-ca <file>', 'who signs the certificates of the etcd', path)
    .addOption(
      new Option('--security-driver <drivers>', 'who labels QEMU and its files (default: dac as root, else none)').choices([
        'dac',
        'none',
        'selinux',
        'apparmor',
        'dac,selinux',
        'dac,apparmor',
      ]),
    )
    .addOption(
      new Option('--audit-sink <sink...>', "where audit records go besides the files: the kernel's audit, syslog").choices([
        'kernel',
        'syslog',
      ]),
    )
    .addOption(
      new Option('--log-level <level>', 'what the logs hold (default: info)').choices(['error', 'warn', 'info', 'debug']),
    );
}

function addTimers(up: Command): void {
  up.option('--session-ttl-seconds <s>', 'TTL of a control session, 1 to 300 (default: 15)', seconds(limits.sessionTtlSecondsMax))
    .option(
      '--attach-timeout-seconds <s>',
      'longest wait for the migration stream, 1 to 3600 (default: 30 in the agent, 60 in the relay)',
      seconds(3_600),
    )
    .option('--stall-timeout-seconds <s>', 'longest silence of the migration stream, 1 to 3600 (default: 30)', seconds(3_600))
    .option(
      '--retry-ms <ms>',
      'pause between two questions to the other host, milliseconds, 10 to 60000 (default: 500)',
      wholeNumber(10, 60_000, 'milliseconds'),
    );
}

async function upCommand({ context, options, json }: Call<UpOptions>): Promise<0 | 1> {
  const { isRoot, tmpDir, env, clock, stdout } = context;
  const runtimeDir =
    options.runtimeDir ?? defaultRuntimeDir(options.stateDir, { isRoot, tmpDir, xdgRuntimeDir: env.XDG_RUNTIME_DIR });
  makeRuntimeDir(runtimeDir);
  // The apps need their supervisor also when its terminal is gone or its log is full.
  context.outliveOutput();
  const tell = (event: HostEvent) => stdout.write(`${json ? hostEventJson(event, clock.wall()) : hostEventLine(event)}\n`);
  const code = await runHost(hostCommands({ ...options, runtimeDir }), {
    clock,
    tell,
    onStopSignal: (listener) => context.onSignal(['SIGINT', 'SIGTERM'], listener),
    onHangUp: (listener) => context.onSignal(['SIGHUP'], listener),
  });
  // Sockets of guests that run on stay where they are.
  if (options.runtimeDir === undefined) removeEmptyRuntimeDir(runtimeDir);
  return code;
}

function listenAddress(text: string): string {
  if (/^[0-9A-Za-z.:-]{1,255}$/.test(text)) return text;
  throw new InvalidArgumentError('Give an address or a host name without a port.');
}

function userOf(text: string): string {
  if (/^\d{1,10}:\d{1,10}$/.test(text)) return text;
  throw new InvalidArgumentError('Give UID:GID as two numbers.');
}
