#!/usr/bin/env node
import '@vmferry/service/engine';
import { agentCommand, secondsOption } from '@vmferry/agent';
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
    secondsOption(
      new Option('--attach-timeout-seconds <n>', 'from Prepare to the first byte of the stream, 1 to 3600').env(
        'VMFERRY_ATTACH_TIMEOUT_SECONDS',
      ),
      1,
      3_600,
    ).default(30),
  )
  .addOption(
    secondsOption(
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
  .action(async (options: DestinationOptions) => {
    const log = createLogger({ app: 'destination-agent', level: options.logLevel, hostName: options.hostName });
    await runApp(log, () => startDestinationAgent(options, faultPointsFrom(process.env.VMFERRY_FAULT), log));
  });

await command.parseAsync();

function protocolsOf(text: string): readonly Protocol[] {
  const wanted = text.split(',');
  const known = protocols.filter((protocol) => wanted.includes(protocol));
  if (known.length === wanted.length) return known;
  throw new InvalidArgumentError(`give some of ${protocols.join(', ')}, with commas`);
}
