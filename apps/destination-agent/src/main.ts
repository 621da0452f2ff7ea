#!/usr/bin/env node
import '@vmferry/service/engine';
import { isIP } from 'node:net';
import { agentCommand, portRangeOption, wholeNumberOption } from '@vmferry/agent';
import { type Protocol, protocols } from '@vmferry/migration';
import { faultPointsFrom } from '@vmferry/seams';
import { createLogger, runApp } from '@vmferry/service';
import { InvalidArgumentError, Option } from 'commander';
import { type DestinationOptions, startDestinationAgent } from './app.js';

const command = agentCommand('destination-agent', 'Owns a domain while it is incoming: Prepare, Finish and the outcome record.')
  .addOption(
    new Option('--source-agent <url>', 'the source-agent of this host, which takes over what has arrived').env(
      'VMFERRY_SOURCE_AGENT',
    ),
  )
  .addOption(
    wholeNumberOption(
      new Option('--attach-timeout-seconds <n>', 'from Prepare to the first byte of the stream, 1 to 3600').env(
        'VMFERRY_ATTACH_TIMEOUT_SECONDS',
      ),
      1,
      3_600,
    ).default(30),
  )
  .addOption(
    wholeNumberOption(
      new Option('--stall-timeout-seconds <n>', 'of silence on a stream, and from load to Finish, 1 to 3600').env(
        'VMFERRY_STALL_TIMEOUT_SECONDS',
      ),
      1,
      3_600,
    ).default(30),
  )
  .addOption(
    new Option(
      '--protocols <list>',
      'what is offered: v3,v2, or one of them; v2 alone stands for a destination that offers nothing else',
    )
      .env('VMFERRY_PROTOCOLS')
      .argParser(protocolsOf)
      .default([...protocols], protocols.join()),
  )
  .addOption(
    // From 1024 on, for QEMU is not privileged.
    portRangeOption(
      new Option(
        '--migration-ports <first-last>',
        "ports that this host's QEMUs may listen on for guests that come by a tcp: URI, such as libvirt's 49152-49215; without it none listens",
      ).env('VMFERRY_MIGRATION_PORTS'),
      1_024,
      1_000,
    ),
  )
  .addOption(
    new Option('--migration-address <address>', 'where they listen then (default: where this agent listens)')
      .env('VMFERRY_MIGRATION_ADDRESS')
      .argParser(addressOf),
  )
  .addOption(
    new Option(
      '--insecure-migration-ports',
      'let them listen without TLS too: whoever connects first is taken for the source, so only where nobody else reaches the ports',
    ).env('VMFERRY_INSECURE_MIGRATION_PORTS'),
  )
  .action(async (options: DestinationOptions) => {
    const log = createLogger({ app: 'destination-agent', level: options.logLevel, hostName: options.hostName });
    await runApp(log, () => startDestinationAgent(options, faultPointsFrom(process.env.VMFERRY_FAULT), log));
  });

await command.parseAsync();

function addressOf(text: string): string {
  if (isIP(text) !== 0) return text;
  throw new InvalidArgumentError('give an address of this host, or 0.0.0.0 or :: for all');
}

function protocolsOf(text: string): readonly Protocol[] {
  const wanted = text.split(',');
  const known = protocols.filter((protocol) => wanted.includes(protocol));
  if (known.length === wanted.length) return known;
  throw new InvalidArgumentError(`give some of ${protocols.join(', ')}, with commas`);
}
