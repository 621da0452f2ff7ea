import { isAbsolute, normalize } from 'node:path';
import { VmferryError } from '@vmferry/errors';

/** What QEMU may do with one path; `folder` and `read-folder`: with all that is in it. */
export interface PathRule {
  readonly path: string;
  readonly access: keyof typeof permissions;
}

export const permissions = { 'read': 'r', 'write': 'rwk', 'execute': 'mr', 'folder': 'rwk', 'read-folder': 'r' } as const;

/** Of QEMU on a Debian, whatever its guest: firmware, modules, what it asks of the kernel. Nothing of it is written. */
const ofQemu = [
  '/usr/share/{qemu,seabios,ovmf,OVMF,ipxe,vgabios}/** r',
  '/usr/lib/ipxe/** r',
  '/usr/lib/@{multiarch}/qemu/*.so mr',
  '/dev/kvm rw',
  '/dev/net/tun rw',
  '/dev/vhost-net rw',
  '/dev/{urandom,random,hwrng} r',
  '/sys/devices/system/** r',
  '/sys/kernel/mm/transparent_hugepage/* r',
  '@{PROC}/@{pid}/{stat,status,cmdline,maps} r',
  '@{PROC}/@{pid}/task/@{tid}/comm rw',
  '@{PROC}/sys/{kernel,vm}/** r',
];

const ofProcess = [
  'network inet stream',
  'network inet dgram',
  'network inet6 stream',
  'network inet6 dgram',
  'unix type=stream',
  'signal (receive) peer=unconfined',
  'ptrace (readby, tracedby) peer=unconfined',
];

/** One for each guest of a host. */
export function profileName(uuid: string): string {
  return `vmferry-${uuid}`;
}

/**
 * The profile under which the QEMU of a guest runs: it may use these paths, and no program. A path stands in quotes and is one path: throws `label-failed`
 * for one that could mean more to the parser (threats, row 2).
 */
export function profileText(name: string, rules: readonly PathRule[]): string {
  if (!/^[A-Za-z0-9-]{1,128}$/.test(name)) throw new VmferryError('internal', `"${name}" cannot name a profile.`);
  const ofGuest = rules.flatMap(({ path, access }) => {
    checkRulePath(path);
    const rule = (text: string) => `"${text}" ${permissions[access]}`;
    return access === 'folder' || access === 'read-folder' ? [rule(`${path}/`), rule(`${path}/**`)] : [rule(path)];
  });
  const lines = ['include <abstractions/base>', ...[...ofProcess, ...ofQemu, ...ofGuest].map((rule) => `${rule},`)];
  return [
    'include <tunables/global>',
    `profile ${name} flags=(attach_disconnected) {`,
    ...lines.map((line) => `  ${line}`),
    '}',
    '',
  ].join('\n');
}

/** Not one of the characters that the parser reads as a pattern, a variable, an escape or the end of a quoted text. */
export function checkRulePath(path: string): void {
  if (
    isAbsolute(path) &&
    normalize(path) === path &&
    !path.endsWith('/') &&
    path.length <= 4_095 &&
    !/[*?[\]{}^"\\@$#\p{Cc}]/u.test(path)
  )
    return;
  throw new VmferryError(
    'label-failed',
    `${JSON.stringify(path.slice(0, 200))} cannot stand in an AppArmor profile: it must be an absolute path without * ? [ ] { } ^ " \\ @ $ # and control characters. Rename it.`,
    { data: { path } },
  );
}
