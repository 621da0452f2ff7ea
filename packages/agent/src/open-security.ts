import { join } from 'node:path';
import { getuid } from 'node:process';
import { VmferryError } from '@vmferry/errors';
import { DocumentStore, type HostState, type SetAsideReporter } from '@vmferry/host-state';
import { emulatorDefault } from '@vmferry/hypervisor';
import { systemRandom } from '@vmferry/seams';
import {
  AppArmorLabels,
  DacLabels,
  noLabels,
  openAppArmor,
  openSelinux,
  parseConfinement,
  parseLevelOwner,
  parseRememberedContexts,
  parseRememberedOwners,
  parseSelinuxLabel,
  type SecurityDriver,
  SelinuxLabels,
  stackLabels,
} from '@vmferry/security-label';
import { type AgentOptions, parseUser, type SecurityDrivers } from './options.js';

type Options = Pick<AgentOptions, 'securityDriver' | 'qemuUser' | 'imageRoot' | 'emulator' | 'migrateTlsDir'>;

/** The security driver that the options name, for this host. Throws `invalid-argument` when it is not to be had here. */
export function openSecurity(
  options: Options,
  { folders: { labels } }: Pick<HostState, 'folders'>,
  report: SetAsideReporter,
): SecurityDriver {
  const documents = <T>(folder: string, parse: (value: unknown) => T) =>
    new DocumentStore({ dir: join(labels, folder), suffix: '.json', parse, version: 1, report });
  const { securityDriver } = options;
  switch (securityDriver) {
    case 'none':
      return noLabels;
    case 'dac':
      return openDac(options, documents('.', parseRememberedOwners));
    case 'selinux':
    case 'apparmor':
      // Without dac QEMU would run as the agent's own user (threats, row 14).
      if (getuid?.() === 0) throw refused(securityDriver, `of a root agent takes dac too: give dac,${securityDriver}`);
      return openMandatory(securityDriver, options, documents);
    case 'dac,selinux':
    case 'dac,apparmor': {
      const mandatory = securityDriver === 'dac,selinux' ? 'selinux' : 'apparmor';
      const dac = openDac(options, documents('.', parseRememberedOwners));
      return stackLabels(dac, openMandatory(mandatory, options, documents));
    }
  }
}

function openDac(
  { qemuUser, imageRoot: imageRoots, securityDriver }: Options,
  memory: ConstructorParameters<typeof DacLabels>[0]['memory'],
): DacLabels {
  const user = parseUser(qemuUser);
  if (user === null) throw refused(securityDriver, 'takes a root agent, which can give files to --qemu-user');
  return new DacLabels({ user, memory, imageRoots });
}

function openMandatory(
  driver: 'selinux' | 'apparmor',
  { emulator = emulatorDefault, migrateTlsDir }: Options,
  documents: <T>(folder: string, parse: (value: unknown) => T) => DocumentStore<T>,
): SecurityDriver {
  if (driver === 'apparmor') {
    const confinements = documents('apparmor', parseConfinement);
    return new AppArmorLabels({ kernel: openAppArmor(), confinements, emulator, migrateTlsDir: migrateTlsDir ?? null });
  }
  return new SelinuxLabels({
    kernel: openSelinux(),
    random: systemRandom,
    labels: documents('selinux/guests', parseSelinuxLabel),
    levels: documents('selinux/levels', parseLevelOwner),
    files: documents('selinux/files', parseRememberedContexts),
  });
}

function refused(driver: SecurityDrivers, why: string): VmferryError {
  return new VmferryError('invalid-argument', `--security-driver ${driver} ${why}.`);
}
