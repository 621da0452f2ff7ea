import { isTcp } from '@vmferry/api';
import type { FlagName } from '@vmferry/migration';
import { type Command, Option } from 'commander';
import {
  addressOf,
  bandwidthOf,
  destinationUrl,
  domainNameOf,
  domainOf,
  downtimeOf,
  migrationIdOf,
  migrationUriOf,
} from '../arguments.js';
import { examples } from '../examples.js';
import { type ExitCode, exitCodes } from '../exit-code.js';
import { acts, type Call, connectOption, type Room } from '../leaf.js';
import type { Drive, Wish } from './drive.js';
import { driveManaged } from './drive-managed.js';
import { detach, drivePeerToPeer } from './drive-peer-to-peer.js';
import { addParallelOptions, type ParallelOptions } from './parallel-options.js';
import { reporterOf } from './reporter.js';
import { addTimeoutOptions, type TimeoutOptions, timeoutsOf } from './timeout-options.js';

export interface MigrateOptions extends TimeoutOptions, ParallelOptions {
  readonly live?: true;
  readonly offline?: true;
  readonly p2p?: true;
  readonly managed?: true;
  readonly tunnelled?: true;
  readonly direct?: true;
  readonly tls?: true;
  readonly persistent?: true;
  readonly undefinesource?: true;
  readonly suspend?: true;
  readonly dname?: string;
  readonly xml?: string;
  readonly migrateuri?: string;
  readonly listenAddress?: string;
  readonly bandwidth?: number;
  readonly downtime?: number;
  readonly id?: string;
  readonly detach?: true;
}

const exitCodesHelp = `
Exit codes:
  0    the guest runs on the destination; with --offline, its definition is there
  1    it failed or was cancelled, and the guest is safe on the source
  2    the command line cannot be read
  3    the outcome is not known or a guest is held: a person must look
  130  Ctrl-C: the first asks for a cancel, the second stops watching; a guest that moved all the same is 0`;

/** Options that are about the sending of memory. */
const ofMemory = [
  'tunnelled',
  'suspend',
  'migrateuri',
  'listenAddress',
  'bandwidth',
  'downtime',
  'parallel',
  'parallelConnections',
  'timeout',
  'timeoutPerGib',
  'stallTimeout',
  'timeoutAction',
  'timeoutSuspend',
];

/** `vmferry migrate`; given back, for what else takes its options. */
export function addMigrateCommand(program: Command, room: Room): Command {
  const command = program
    .command('migrate')
    .summary('move a running guest, or with --offline a definition, to another host')
    .description(
      'Moves a running guest to the host of another destination-agent and waits for the end. By default the source-agent drives (--p2p) and the memory goes through the tunnel (--tunnelled). With --offline only the definition of a domain that is not active is moved.',
    )
    .argument('<domain>', 'name or uuid of a running domain; with --offline, of one that is not active', domainOf)
    .argument('<dest-url>', "base URL of the destination host's destination-agent, such as http://192.0.2.7:7802", destinationUrl)
    .addOption(connectOption("source-agent of the guest's host (default: VMFERRY_URL, else http://127.0.0.1:7801)"))
    .option('--live', 'let the guest run while its memory is sent; without it the guest is paused for the whole transfer')
    .addOption(new Option('--p2p', 'the source-agent drives the migration (default)').conflicts('managed'))
    .addOption(
      new Option('--managed', 'this command drives the five steps at both agents; it must stay until the end').conflicts([
        'p2p',
        'detach',
      ]),
    )
    .addOption(new Option('--tunnelled', 'send the memory through the relays of both hosts (default)').conflicts('direct'))
    .addOption(new Option('--direct', 'send the memory from QEMU to QEMU over one connection').conflicts('tunnelled'))
    .addOption(
      new Option(
        '--offline',
        'move the definition of a domain that is not active, and nothing else; needs --persistent. Nothing runs, nothing is sent',
      ).conflicts(ofMemory),
    )
    .option('--persistent', 'keep the definition on the destination')
    .option('--undefinesource', 'forget the definition on the source, after success only')
    .option('--suspend', 'leave the guest paused on the destination')
    .option('--dname <name>', 'name of the domain on the destination', domainNameOf)
    .option('--xml <file>', 'definition for the destination; refused when it would change what the guest sees; - reads stdin')
    .option('--bandwidth <MiB/s>', 'limit of the transfer, MiB/s, 1 to 1048576', bandwidthOf)
    .option('--downtime <ms>', 'longest stop of the guest at the switch, milliseconds, 1 to 60000', downtimeOf)
    .option('--id <id>', 'id of the migration: 1 to 64 letters, digits, - or _ (default: a random uuid)', migrationIdOf)
    .option('--detach', 'return as soon as the migration has begun')
    .addHelpText('after', exitCodesHelp)
    .addHelpText(
      'after',
      examples(
        'migrate web http://192.0.2.7:7802 --live --persistent --undefinesource',
        'migrate web http://192.0.2.7:7802 --live --managed --direct --bandwidth 512',
        'migrate web http://192.0.2.7:7802 --live --parallel --parallel-connections 4',
        'migrate web http://192.0.2.7:7802 --offline --persistent --undefinesource',
        'migrate web http://192.0.2.7:7802 --live --json | jq .guest.runningOn',
      ),
    );
  addStreamOptions(command);
  acts<MigrateOptions>(room, addParallelOptions(addTimeoutOptions(command)), migrate);
  return command;
}

/** How the memory gets from one QEMU to the other. */
function addStreamOptions(command: Command): void {
  command
    .addOption(
      new Option('--tls', 'the two QEMUs encrypt the memory between them, by the certificates of both hosts; makes it --direct')
        .implies({ direct: true })
        .conflicts(['tunnelled', 'offline', 'parallel']),
    )
    .option(
      '--migrateuri <uri>',
      "under which the source reaches the destination for the stream: http://HOST[:PORT] (default: the destination's own name), or tcp:HOST[:PORT] for a port that QEMU itself listens on, which makes it --direct",
      migrationUriOf,
    )
    .option(
      '--listen-address <address>',
      'address of the destination that takes the stream; its agent must listen there, or with tcp: its QEMUs be let',
      addressOf,
    );
}

async function migrate(call: Call<MigrateOptions>): Promise<ExitCode> {
  const { context, options, json } = call;
  const drive: Drive = { context, source: call.source(), wish: await wishOf(call), reporter: reporterOf(context, json) };
  if (options.managed === true) return driveManaged(drive);
  if (options.detach !== true) return drivePeerToPeer(drive);
  const exitCode = await detach(drive);
  const { id } = drive.wish;
  if (exitCode === exitCodes.done)
    call.print(`Migration ${id} has begun; \`vmferry migration watch ${id}\` follows it\n`, { id });
  return exitCode;
}

export async function wishOf({ context, args, options }: Call<MigrateOptions>): Promise<Wish> {
  const [domain = '', destination = ''] = args;
  const timeouts = timeoutsOf(options);
  return {
    id: options.id ?? context.random.uuid(),
    domain,
    destination,
    flags: flagsOf(options),
    ...(options.dname === undefined ? {} : { destinationName: options.dname }),
    ...(options.xml === undefined ? {} : { xml: await context.readInput(options.xml) }),
    ...(options.migrateuri === undefined ? {} : { uri: options.migrateuri }),
    ...(options.listenAddress === undefined ? {} : { listenAddress: options.listenAddress }),
    ...(options.bandwidth === undefined ? {} : { bandwidthMibPerSec: options.bandwidth }),
    ...(options.downtime === undefined ? {} : { downtimeMsMax: options.downtime }),
    ...(timeouts === undefined ? {} : { timeouts }),
    ...(options.parallelConnections === undefined ? {} : { parallelConnections: options.parallelConnections }),
  };
}

/** The flags of the protocol (libvirt-protocol, A5) for virsh's words. */
function flagsOf(options: MigrateOptions): FlagName[] {
  const chosen: readonly (readonly [FlagName, boolean])[] = [
    ['LIVE', options.live === true],
    ['PEER2PEER', options.managed !== true],
    ['TUNNELLED', isTunnelled(options)],
    ['PERSIST_DEST', options.persistent === true],
    ['UNDEFINE_SOURCE', options.undefinesource === true],
    ['PAUSED', options.suspend === true],
    ['OFFLINE', options.offline === true],
    ['PARALLEL', options.parallel === true],
    ['TLS', options.tls === true],
  ];
  return chosen.filter(([, isChosen]) => isChosen).map(([flag]) => flag);
}

/** Unless something is asked for that goes from QEMU to QEMU. */
function isTunnelled({ tunnelled, direct, offline, migrateuri = '' }: MigrateOptions): boolean {
  return tunnelled === true || (direct !== true && offline !== true && !isTcp(migrateuri));
}
