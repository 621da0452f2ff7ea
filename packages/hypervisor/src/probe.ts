import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { QmpClient } from '@vmferry/qmp';
import type { Clock } from '@vmferry/seams';
import { spawnDependent } from './dependent-process.js';
import { tryKvm } from './kvm-probe.js';
import { capabilitiesNeeded } from './migration.js';

/** What one emulator on this host can do. Plain JSON, so that the caller can keep it by the emulator's path and mtime. */
export interface Capabilities {
  readonly emulator: string;
  readonly version: { readonly major: number; readonly minor: number; readonly micro: number };
  /** What the distribution adds to the version. */
  readonly package: string;
  /** Versioned names, as `pc-q35-7.2`. */
  readonly machines: readonly string[];
  /** `q35` to `pc-q35-7.2`; what `resolveMachine` of @vmferry/domain takes. */
  readonly machineAliases: Readonly<Record<string, string>>;
  /** KVM ran a guest just now; see `tryKvm`. False also when nobody asked. */
  readonly kvmUsable: boolean;
  readonly migrationCapabilities: readonly string[];
  readonly migrationParameters: readonly string[];
  /** The commands and events of its monitor. Features are detected by these lists, never by the version. */
  readonly commands: readonly string[];
  readonly events: readonly string[];
}

export const emulatorDefault = '/usr/bin/qemu-system-x86_64';

/** For one QEMU to answer. One whose monitor stays silent is given up, and another is asked with more patience. */
const patienceMs = [5_000, 20_000] as const;

/**
 * Asks the emulator itself, which takes about 0.2 s; with `kvm` it also tries KVM, which takes 2 s where KVM hangs. Throws `hypervisor-unsupported` when it is none, or one that cannot
 * migrate.
 */
export async function probe(o: {
  readonly emulator?: string;
  readonly clock: Clock;
  readonly kvm: boolean;
  /** Where its folder is made, six letters behind this; it goes with the probe, unless this process is killed meanwhile. */
  readonly folderPrefix?: string;
}): Promise<Capabilities> {
  const { emulator = emulatorDefault, clock } = o;
  if (!isAbsolute(emulator))
    throw new VmferryError('invalid-argument', `The emulator is given by an absolute path, not as "${emulator}".`);
  const folder = await mkdtemp(o.folderPrefix ?? join(tmpdir(), 'vmferry-probe-'));
  try {
    const [first, second] = patienceMs;
    const asked = await askEmulator(emulator, join(folder, 'first'), clock, first).catch((error: unknown) => {
      if (!VmferryError.is(error, 'monitor-timeout')) throw error;
      return askEmulator(emulator, join(folder, 'second'), clock, second);
    });
    const missing = capabilitiesNeeded.filter((name) => !asked.migrationCapabilities.includes(name));
    if (missing.length > 0) {
      throw new VmferryError('hypervisor-unsupported', `${emulator} cannot migrate safely: it lacks ${missing.join(', ')}.`, {
        data: { emulator, missing },
      });
    }
    return { ...asked, kvmUsable: o.kvm && (await tryKvm(emulator, folder, clock)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function askEmulator(
  emulator: string,
  path: string,
  clock: Clock,
  deadlineMs: number,
): Promise<Omit<Capabilities, 'kvmUsable'>> {
  const monitor = ['-chardev', `socket,id=m,path=${path},server=on,wait=off`, '-mon', 'chardev=m,mode=control'];
  const argv = ['-machine', 'none', '-nodefaults', '-no-user-config', '-display', 'none', '-S', ...monitor];
  const qemu = spawnDependent(emulator, argv, ['ignore', 'ignore', 'pipe']);
  const ended = new AbortController();
  let words = '';
  qemu.stderr?.on('data', (chunk: Buffer) => {
    words = `${words}${chunk.toString()}`.slice(-1000);
  });
  const exited = new Promise<void>((resolve) => {
    const end = (why: string) => {
      ended.abort(
        new VmferryError('hypervisor-unsupported', `${emulator} is no QEMU that starts here: ${why}.`, { data: { emulator } }),
      );
      resolve();
    };
    qemu.once('error', (error) => end(error.message));
    qemu.once('close', (code, signal) => end(`it ended with ${code ?? signal}, ${words.trim()}`));
  });
  try {
    const qmp = await QmpClient.connect({ path, clock, deadlineMs, signal: ended.signal });
    const answers = await readCapabilities(qmp, emulator);
    await qmp.execute('quit', {});
    return answers;
  } finally {
    qemu.kill('SIGKILL');
    await exited;
  }
}

async function readCapabilities(qmp: QmpClient, emulator: string): Promise<Omit<Capabilities, 'kvmUsable'>> {
  const machines = await qmp.execute('query-machines', {});
  const capabilities = await qmp.execute('query-migrate-capabilities', {});
  const schema = await qmp.execute('query-qmp-schema', {});
  const named = (kind: string) => schema.filter((entry) => entry['meta-type'] === kind).map((entry) => entry.name);
  const parameters = await qmp.execute('query-migrate-parameters', {});
  return {
    emulator,
    version: qmp.greeting.qemu,
    package: qmp.greeting.package,
    machines: machines.map((machine) => machine.name).sort(),
    machineAliases: Object.fromEntries(machines.flatMap(({ name, alias }) => (alias === undefined ? [] : [[alias, name]]))),
    migrationCapabilities: capabilities.map(({ capability }) => capability).sort(),
    migrationParameters: Object.keys(parameters).sort(),
    commands: named('command').sort(),
    events: named('event').sort(),
  };
}
