import { readFileSync } from 'node:fs';
import { assignAddresses, type DomainDefinition, parseDomain, placeDisplay, resolveMachine } from '@vmferry/domain';
import { type CommandLineOptions, commandLine } from './command-line.js';

export const scenarios = ['boot-sector', 'direct-kernel', 'full-q35', 'pc-ide', 'spice-qxl', 'kvm'] as const;
export type Scenario = (typeof scenarios)[number];

export function testdata(name: string): URL {
  return new URL(`../../src/command-line/testdata/${name}`, import.meta.url);
}

/** The definition as a start has it, with its files in `folder`. */
export function ready(xml: string, machineAliases: Readonly<Record<string, string>>): DomainDefinition {
  const settled = assignAddresses(resolveMachine(parseDomain(xml), machineAliases));
  return placeDisplay(settled, { port: 5999, tlsPort: -1 });
}

export function scenarioXml(scenario: Scenario, folder: string): string {
  return readFileSync(testdata(`${scenario}.xml`), 'utf8').replaceAll('@DIR@', folder);
}

export const fixedAliases = { q35: 'pc-q35-7.2', pc: 'pc-i440fx-7.2' };

export const fixedOptions: CommandLineOptions = {
  incoming: false,
  monitors: { source: '/run/vmferry/g/source.qmp', destination: '/run/vmferry/g/destination.qmp' },
  capabilities: { emulator: '/usr/bin/qemu-system-x86_64', kvmUsable: true, machines: Object.values(fixedAliases) },
  spiceTlsDir: null,
  runtimeDir: '/run/vmferry/g',
};

export function argvOf(xml: string, o: Partial<CommandLineOptions> = {}): string[] {
  return commandLine(ready(xml, fixedAliases), { ...fixedOptions, ...o }).argv;
}

/** A reference reading of one of QEMU's comma lists: its parts, with every doubled comma made single. */
export function splitCommas(text: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] !== ',') {
      part += text[at];
    } else if (text[at + 1] === ',') {
      part += ',';
      at += 1;
    } else {
      parts.push(part);
      part = '';
    }
  }
  return [...parts, part];
}

/** The values of one option, in order. */
export function valuesOf(argv: readonly string[], option: string): string[] {
  return argv.flatMap((word, index) => (argv[index - 1] === option ? [word] : []));
}
