import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Entry } from './introspection.js';
import type { Subset } from './subset.js';

const schemaFile = new URL('../schema/qemu.json', import.meta.url);
const generatedFolder = new URL('../../../packages/qmp/src/generated/', import.meta.url);

export function readSubset(): Subset {
  // The file is written by this tool alone, and a spec compares it with the schema of the real QEMU.
  return JSON.parse(readFileSync(schemaFile, 'utf8')) as Subset;
}

export function subsetText(subset: Subset): string {
  return `${JSON.stringify(subset, null, 2)}\n`;
}

export function writeSubset(subset: Subset): void {
  writeFileSync(schemaFile, subsetText(subset));
}

export function readGenerated(name: 'commands.ts' | 'events.ts'): string {
  return readFileSync(new URL(name, generatedFolder), 'utf8');
}

export function writeGenerated(name: 'commands.ts' | 'events.ts', text: string): void {
  writeFileSync(new URL(name, generatedFolder), text);
}

/** Asks an emulator for its schema and its version, over a monitor on its standard streams. */
export function askEmulator(emulator: string): { readonly entries: readonly Entry[]; readonly qemu: string } {
  const commands = ['qmp_capabilities', 'query-qmp-schema', 'quit'].map((execute) => `${JSON.stringify({ execute })}\n`).join('');
  const argv = ['-machine', 'none', '-nodefaults', '-no-user-config', '-display', 'none', '-S', '-qmp', 'stdio'];
  const output = execFileSync(emulator, argv, {
    input: commands,
    encoding: 'utf8',
    maxBuffer: 10 * 1024 * 1024,
    timeout: 30_000,
  });
  const messages = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  // The form of the greeting and of the reply is the documented one of the QMP specification.
  const greeting = messages[0] as { QMP: { version: { qemu: { major: number; minor: number } } } };
  const reply = messages.find((message) => Array.isArray(message.return)) as { return: readonly Entry[] } | undefined;
  if (reply === undefined) throw new Error(`${emulator} did not answer query-qmp-schema`);
  const { major, minor } = greeting.QMP.version.qemu;
  return { entries: reply.return, qemu: `${major}.${minor}` };
}
