/** Where a driver keeps what outlives the agent, one document per name: durable (host-state's `DocumentStore`), and shared by the host's agents. */
export interface Documents<T> {
  read(name: string): Promise<T | null>;
  write(name: string, value: T): Promise<void>;
  /** Makes it unless there is one, also when both agents try; the one that is there now. */
  create(name: string, value: T): Promise<T>;
  remove(name: string): Promise<void>;
  list(): Promise<{ readonly name: string; readonly value: T }[]>;
}

/** The files that were labelled for one guest, each with what it had before: an owner, or a context. */
export interface RememberedFiles<Before> {
  readonly files: readonly RememberedFile<Before>[];
}

export interface RememberedFile<Before> {
  readonly path: string;
  readonly before: Before;
}

const FILES_MAX = 1_000;

/** Checks a document of remembered files; throws when it is none. */
export function parseRememberedFiles<Before>(value: unknown, parseBefore: (value: unknown) => Before): RememberedFiles<Before> {
  if (typeof value !== 'object' || value === null || !('files' in value) || !Array.isArray(value.files))
    throw new Error('files is no list');
  if (value.files.length > FILES_MAX) throw new Error(`there are over ${FILES_MAX} files`);
  return { files: value.files.map((file) => parseFile(file, parseBefore)) };
}

function parseFile<Before>(file: unknown, parseBefore: (value: unknown) => Before): RememberedFile<Before> {
  if (typeof file !== 'object' || file === null || !('path' in file)) throw new Error('a file has no path');
  const { path } = file;
  if (typeof path !== 'string' || !path.startsWith('/')) throw new Error('a path is not absolute');
  // Documents of version 0.1.0 call it the owner.
  const before = 'before' in file ? file.before : 'owner' in file ? file.owner : undefined;
  return { path, before: parseBefore(before) };
}
