#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { exit } from 'node:process';
import { runCli } from './run-cli.js';
import { systemContext } from './system-context.js';

// The package is the one place that knows its version.
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

// Set before the end, not by `exit` alone: what was written to a pipe has to leave first.
process.exitCode = await runCli(process.argv.slice(2), systemContext(tmpdir()), version);
// Idle keep-alive connections to agents would hold the process for 4 s.
if (process.stdout.writableLength === 0 && process.stderr.writableLength === 0) exit();
else process.stdout.write('', () => exit());
