import { chmod, mkdtemp } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { listenForTicks } from '@vmferry/guest-image';
import { Cleanup } from './cleanup.js';
import { writeDefinition } from './guest.js';
import { DemoHost } from './host.js';
import { freePortBases } from './ports.js';
import { processesOf } from './processes.js';
import { downtimeText, type Finding, handoverText, prove } from './proof.js';
import { command, heading, print, say } from './say.js';
import { cliPath, Vmferry } from './vmferry.js';
import { commandMsMax, domain, makeVoyage, type Stage } from './voyage.js';

/** QEMU loses an emulated Linux guest in a few of a hundred migrations; two in a row hardly ever. */
const attemptsMax = 3;

export interface DemoOptions {
  /** Where the demo's folder is made; short, because of the sockets below it. */
  readonly tmpDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

/** Plays the demo. Returns whether every proof held and nothing is left behind; throws what went wrong, when that is undone too. */
export async function playDemo(options: DemoOptions): Promise<boolean> {
  const folder = await mkdtemp(join(options.tmpDir, 'vmferry-demo-'));
  const cleanup = new Cleanup(folder);
  try {
    // QEMU of a root agent runs as nobody and passes through.
    await chmod(folder, 0o711);
    const findings = await moveGuest(folder, cleanup, options);
    return (await cleanup.run()) && findings.every(({ holds }) => holds);
  } finally {
    await cleanup.run();
  }
}

async function moveGuest(folder: string, cleanup: Cleanup, { env, signal }: DemoOptions): Promise<readonly Finding[]> {
  heading('A Linux guest moves between two hosts while it runs. Both hosts are this machine, on loopback.');
  const serialPath = join(folder, 'serial.sock');
  const definition = await writeDefinition(folder, domain, serialPath);
  const serial = await listenForTicks(serialPath);
  cleanup.add(() => serial.close());

  heading('Two hosts, each with its source-agent, destination-agent and tunnel-relay.');
  const bases = await freePortBases();
  command(`alias vmferry="node $PWD/${relative(process.cwd(), cliPath)}"`);
  // What lies in TMPDIR, as the probe of an app does, goes away with the demo's folder.
  const cli = new Vmferry({ ...env, TMPDIR: folder }, signal);
  const hosts = [
    new DemoHost({ name: 'hostA', folder, portBase: bases[0] }),
    new DemoHost({ name: 'hostB', folder, portBase: bases[1] }),
  ] as const;
  cleanup.addPorts(bases);
  for (const host of hosts) {
    cleanup.add(() => host.down());
    await host.up(cli, signal);
  }

  heading('A guest is defined on hostA.');
  command(`export VMFERRY_URL=${hosts[0].sourceUrl}`);
  const vmferry = cli.at(hosts[0].sourceUrl);
  await vmferry.run(['domain', 'define', definition.path], commandMsMax);
  cleanup.addDomain(domain, hosts, cli);
  return voyageAndProof({ vmferry, hosts, serial, signal }, folder, definition.type === 'qemu' ? attemptsMax : 1);
}

async function voyageAndProof(stage: Stage, folder: string, attempts: number): Promise<readonly Finding[]> {
  const [here, there] = stage.hosts;
  const names = [here.name, there.name] as const;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const voyage = await makeVoyage(stage);
    if (voyage !== null) {
      heading('What the guest said, as it came in on one socket that both QEMUs are connected to:');
      print(handoverText(voyage.ticks, names));
      const alive = processesOf(folder).map(({ pid }) => pid);
      const findings = prove({ domain, hosts: names, ...voyage, alive });
      for (const { holds, text } of findings) say(`${holds ? 'proved' : 'FAILED'}  ${text}`);
      say(downtimeText(voyage.ticks, names));
      return findings;
    }
    heading(`The guest has moved, and then fell silent on ${there.name}.`);
    if (attempt === attempts) break;
    say('QEMU itself loses an emulated Linux guest (TCG) in a few of a hundred live migrations. Once more, with a fresh guest.');
    await stage.vmferry.run(['domain', 'destroy', domain, '-c', there.sourceUrl], commandMsMax);
  }
  throw new VmferryError('internal', `The guest was not heard on ${there.name}.`);
}
