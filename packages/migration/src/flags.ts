import { VmferryError } from '@vmferry/errors';

/** The flags of the era and of later libvirt by name, with their bits (libvirt-protocol, A5). */
export const flagBits = {
  LIVE: 1,
  PEER2PEER: 2,
  TUNNELLED: 4,
  PERSIST_DEST: 8,
  UNDEFINE_SOURCE: 16,
  PAUSED: 32,
  NON_SHARED_DISK: 64,
  NON_SHARED_INC: 128,
  CHANGE_PROTECTION: 256,
  UNSAFE: 512,
  OFFLINE: 1024,
  COMPRESSED: 2048,
  ABORT_ON_ERROR: 4096,
  AUTO_CONVERGE: 8192,
  RDMA_PIN_ALL: 16384,
  POSTCOPY: 32768,
  TLS: 65536,
  PARALLEL: 131072,
  NON_SHARED_SYNCHRONOUS_WRITES: 262144,
  POSTCOPY_RESUME: 524288,
  ZEROCOPY: 1048576,
} as const;

export type FlagName = keyof typeof flagBits;

/** The one declared set that every step accepts (S6). A known flag outside it is refused by name until what it asks for exists. */
export const supportedFlags = [
  'LIVE',
  'PEER2PEER',
  'TUNNELLED',
  'PERSIST_DEST',
  'UNDEFINE_SOURCE',
  'PAUSED',
  'CHANGE_PROTECTION',
  'OFFLINE',
  'PARALLEL',
  'TLS',
] as const satisfies readonly FlagName[];

export type MigrationFlag = (typeof supportedFlags)[number];
export type MigrationFlags = ReadonlySet<MigrationFlag>;

/** The flags by name, checked before any side effect: `flag-unknown` or `flag-unsupported`, naming the flag and its place. */
export function parseFlags(names: readonly string[]): MigrationFlags {
  return new Set(names.map((name, index) => parseFlag(name, index)));
}

function parseFlag(name: string, index: number): MigrationFlag {
  const supported = supportedFlags.find((flag) => flag === name);
  if (supported !== undefined) return supported;
  const code = isFlagName(name) ? 'flag-unsupported' : 'flag-unknown';
  const said = `The migration flag ${JSON.stringify(name)} is not ${code === 'flag-unknown' ? 'known' : 'supported'}`;
  const detail = name.startsWith('NON_SHARED_')
    ? `${said}: storage is not copied. Keep the disks on storage that both hosts reach under the same path, and leave the flag out.`
    : `${said}. Supported are ${supportedFlags.join(', ')}.`;
  throw new VmferryError(code, detail, { errors: [{ path: `/flags/${index}`, code, detail }] });
}

function isFlagName(name: string): name is FlagName {
  return Object.hasOwn(flagBits, name);
}

/** The bits of the flags, for logs: always in hex (S7). A name that nobody knows has none; it is refused by `parseFlags`. */
export function flagsInHex(flags: Iterable<string>): string {
  const bits = [...new Set(flags)].reduce((sum, flag) => sum | (isFlagName(flag) ? flagBits[flag] : 0), 0);
  return `0x${bits.toString(16)}`;
}
