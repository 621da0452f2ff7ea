import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { VmferryError } from '@vmferry/errors';

/** What the driver needs of AppArmor: a seam, for not every machine has it. */
export interface AppArmorKernel {
  /** Loads a profile, or replaces the one of this name, also for a process that runs under it. */
  load(profile: string): Promise<void>;
  /** One that is not loaded is no error. */
  unload(name: string): Promise<void>;
  isLoaded(name: string): boolean;
  /** Where a process writes what it is to run under after its next exec. */
  readonly execAttribute: string;
}

const profilesPath = '/sys/kernel/security/apparmor/profiles';
const parserPath =
  ['/usr/sbin/apparmor_parser', '/sbin/apparmor_parser'].find((path) => existsSync(path)) ?? '/usr/sbin/apparmor_parser';
const ownAttribute = '/proc/self/attr/apparmor/exec';

export function hasAppArmor(): boolean {
  return existsSync(profilesPath);
}

export function hasAppArmorParser(): boolean {
  return existsSync(parserPath);
}

/** The kernel of this machine, by `apparmor_parser`. Throws `invalid-argument` where it has no AppArmor. */
export function openAppArmor(): AppArmorKernel {
  if (!hasAppArmor() || !hasAppArmorParser())
    throw new VmferryError(
      'invalid-argument',
      `--security-driver apparmor: this host has no AppArmor, or not the package of ${parserPath}.`,
    );
  const isLoaded = (name: string) =>
    readFileSync(profilesPath, 'utf8')
      .split('\n')
      .some((line) => line.startsWith(`${name} (`));
  return {
    load: (profile) => runParser(['--replace'], profile),
    async unload(name) {
      if (isLoaded(name)) await runParser(['--remove'], `profile ${name} {}\n`);
    },
    isLoaded,
    // Kernels before 5.8 have one attribute for whichever module is the major one.
    execAttribute: existsSync(ownAttribute) ? ownAttribute : '/proc/self/attr/exec',
  };
}

/** Runs it without a shell, with the profile on its input. Throws `label-failed` with what it says. */
export async function runParser(options: readonly string[], profile: string): Promise<void> {
  const child = spawn(parserPath, [...options], { stdio: ['pipe', 'ignore', 'pipe'], env: { LC_ALL: 'C' }, cwd: '/' });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  // A parser that ends before it has read everything says why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(profile);
  try {
    const [said, [code, signal]] = await Promise.all([text(child.stderr), exited]);
    if (code === 0) return;
    throw new VmferryError('label-failed', `apparmor_parser ended with ${code ?? signal}: ${said.trim().slice(0, 1_000)}`);
  } catch (thrown) {
    if (VmferryError.is(thrown, 'label-failed')) throw thrown;
    throw new VmferryError('label-failed', `apparmor_parser could not be run: ${String(thrown)}`, { cause: thrown });
  }
}
