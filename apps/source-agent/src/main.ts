#!/usr/bin/env node
import '@vmferry/service/engine';
import { type AgentOptions, agentCommand } from '@vmferry/agent';
import { faultPointsFrom } from '@vmferry/seams';
import { createLogger, runApp } from '@vmferry/service';
import { startSourceAgent } from './app.js';

const command = agentCommand(
  'source-agent',
  "The resident manager of a host's domains: lifecycle, Begin, Perform, Confirm, peer-to-peer migrations.",
).action(async (options: AgentOptions) => {
  const log = createLogger({ app: 'source-agent', level: options.logLevel, hostName: options.hostName });
  await runApp(log, () => startSourceAgent(options, faultPointsFrom(process.env.VMFERRY_FAULT), log));
});

await command.parseAsync();
