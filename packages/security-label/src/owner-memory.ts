import type { Owner } from '@vmferry/posix';

/** The files that were labelled for one guest, with the owners they had. */
export interface RememberedOwners {
  readonly files: readonly { readonly path: string; readonly owner: Owner }[];
}

/** Where the driver keeps them, by the uuid of the guest: durable documents (host-state's `DocumentStore`). */
export interface OwnerMemory {
  read(uuid: string): Promise<RememberedOwners | null>;
  write(uuid: string, owners: RememberedOwners): Promise<void>;
  remove(uuid: string): Promise<void>;
  list(): Promise<{ readonly name: string; readonly value: RememberedOwners }[]>;
}

const FILES_MAX = 1_000;

/** Checks a document of the memory; throws when it is none. */
export function parseRememberedOwners(value: unknown): RememberedOwners {
  if (typeof value !== 'object' || value === null || !('files' in value) || !Array.isArray(value.files))
    throw new Error('files is no list');
  if (value.files.length > FILES_MAX) throw new Error(`there are over ${FILES_MAX} files`);
  return { files: value.files.map(parseFile) };
}

function parseFile(file: unknown): { path: string; owner: Owner } {
  if (typeof file !== 'object' || file === null || !('path' in file) || !('owner' in file))
    throw new Error('a file has no path or no owner');
  const { path, owner } = file;
  if (typeof path !== 'string' || !path.startsWith('/')) throw new Error('a path is not absolute');
  if (typeof owner !== 'object' || owner === null || !('uid' in owner) || !('gid' in owner))
    throw new Error('an owner has no uid or gid');
  return { path, owner: { uid: parseId(owner.uid), gid: parseId(owner.gid) } };
}

function parseId(id: unknown): number {
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < 0xffff_ffff) return id;
  throw new Error('an id is no whole number');
}
