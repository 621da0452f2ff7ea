import { access, mkdir, open, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { createDurably, removeDurably, sweepTemporaries, syncFolder, writeDurably } from '@vmferry/locking';
import { type FaultPoints, noFaults } from '@vmferry/seams';

/** Told once for each file that was set aside, so that a person gets to see it. */
export type SetAsideReporter = (fault: { readonly path: string; readonly movedTo: string; readonly reason: string }) => void;

export interface DocumentFolderOptions<T> {
  /** The folder; it is made, with mode 0700, when it is not there. */
  readonly dir: string;
  /** What follows the name of a document: `.json`, or `/status.xml` for one folder per document. */
  readonly suffix: string;
  readonly encode: (name: string, value: T) => string;
  /** Throws when the text is not a whole, valid document of this name. */
  readonly decode: (name: string, text: string) => T;
  readonly report: SetAsideReporter;
  readonly faults?: FaultPoints;
  /** Documents at most that this process lets the folder grow to. Default 10,000. */
  readonly countMax?: number;
}

const BYTES_MAX = 4 * 1024 * 1024;
const COUNT_MAX = 10_000;

/**
 * A folder of durable documents, one file each, for one or several processes. It fails closed (I12): what cannot be read is renamed
 * to `FILE.unreadable-N`, reported and never deleted, and from then on neither read nor written until a person has mended it and
 * renamed it back. One process at a time writes a given document; within a process, writes of one document happen in the order of
 * the calls.
 */
export class DocumentFolder<T> {
  readonly #options: DocumentFolderOptions<T>;
  readonly #faults: FaultPoints;
  readonly #known = new Set<string>();
  readonly #tails = new Map<string, Promise<unknown>>();
  #opened: Promise<void> | undefined;

  constructor(options: DocumentFolderOptions<T>) {
    this.#options = options;
    this.#faults = options.faults ?? noFaults;
  }

  /** Replaces the document durably. Throws `invalid-argument` (name), `state-unwritable` (full, too large, disk), `state-unreadable`. */
  write(name: string, value: T): Promise<void> {
    return this.#put(name, value, writeDurably);
  }

  /** Makes the document unless there is one, also when several processes try; the one that is there now. Throws like `write` and `read`. */
  async create(name: string, value: T): Promise<T> {
    await this.#put(name, value, createDurably);
    return (await this.read(name)) ?? value;
  }

  async #put(name: string, value: T, put: typeof writeDurably): Promise<void> {
    const path = this.#path(name);
    const text = this.#encode(name, value);
    if (Buffer.byteLength(text) > BYTES_MAX) {
      throw new VmferryError('state-unwritable', `${path} would be over ${BYTES_MAX} bytes.`, {
        data: { path, bytesMax: BYTES_MAX },
      });
    }
    await this.#inOrder(name, async () => {
      if (!this.#known.has(name)) await this.#admit(name, path);
      // Also of a known document: whoever tidies up after a guest may have removed its folder.
      if (this.#nested) await makeFolder(dirname(path));
      await put(path, text, String(process.pid), this.#faults);
      this.#known.add(name);
    });
  }

  /** The document, or null when there never was one of this name. Throws `invalid-argument` (name), `state-unreadable`. */
  async read(name: string): Promise<T | null> {
    const path = this.#path(name);
    return this.#inOrder(name, async () => {
      const bytes = await readBounded(path);
      if (bytes === null) {
        await this.#refuseSetAside(path);
        return null;
      }
      try {
        return this.#options.decode(name, decodeText(bytes));
      } catch (error) {
        this.#known.delete(name);
        throw await this.#setAside(path, error);
      }
    });
  }

  /** The same, and null too for one that waits to be mended: for whoever can go on without it. */
  async readIfReadable(name: string): Promise<T | null> {
    const found = await this.#look(name);
    return found === 'unreadable' ? null : found.value;
  }

  /** Whether a document of this name waits to be mended, so that nobody knows what it says. */
  async isUnreadable(name: string): Promise<boolean> {
    return (await this.#look(name)) === 'unreadable';
  }

  async #look(name: string): Promise<{ readonly value: T | null } | 'unreadable'> {
    try {
      return { value: await this.read(name) };
    } catch (thrown) {
      if (VmferryError.is(thrown, 'state-unreadable')) return 'unreadable';
      throw thrown;
    }
  }

  /** Every readable document, by name. The others are set aside and reported; `unreadable` names them. */
  async list(): Promise<{ name: string; value: T }[]> {
    await this.#open();
    const found: { name: string; value: T }[] = [];
    for (const name of (await this.#names()).sort()) {
      const value = await this.readIfReadable(name);
      if (value !== null) found.push({ name, value });
    }
    return found;
  }

  /** The files that were set aside and wait for a person, as paths. */
  async unreadable(): Promise<string[]> {
    const folders = this.#nested
      ? (await entries(this.#options.dir)).map((name) => join(this.#options.dir, name))
      : [this.#options.dir];
    const found = await Promise.all(
      folders.map(async (folder) =>
        (await entries(folder)).filter((name) => this.#isSetAside(name)).map((name) => join(folder, name)),
      ),
    );
    return found.flat().sort();
  }

  /** Other folders of documents may lie in the same one. */
  #isSetAside(name: string): boolean {
    return SET_ASIDE.test(name) && `/${name.replace(SET_ASIDE, '')}`.endsWith(this.#options.suffix);
  }

  /** Removes the document durably; one that is not there is no error. What was set aside stays. */
  async remove(name: string): Promise<void> {
    const path = this.#path(name);
    await this.#inOrder(name, async () => {
      if (await exists(dirname(path))) await removeDurably(path);
      this.#known.delete(name);
    });
  }

  /** A value that its own reader would refuse is a defect of who wrote it. */
  #encode(name: string, value: T): string {
    try {
      return this.#options.encode(name, value);
    } catch (error) {
      throw VmferryError.from(error);
    }
  }

  get #nested(): boolean {
    return this.#options.suffix.startsWith('/');
  }

  #path(name: string): string {
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/.test(name)) {
      const shown = JSON.stringify(name.slice(0, 140));
      throw new VmferryError(
        'invalid-argument',
        `${shown} cannot name a document: use 1 to 128 of A-Z a-z 0-9 . _ - and no leading dot.`,
      );
    }
    return join(this.#options.dir, `${name}${this.#options.suffix}`);
  }

  /** Does `act` after the earlier work on the same document, whether that worked or not. */
  async #inOrder<R>(name: string, act: () => Promise<R>): Promise<R> {
    const before = this.#tails.get(name);
    const mine = (async () => {
      await before?.catch(() => undefined);
      await this.#open();
      return act();
    })();
    this.#tails.set(name, mine);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(name) === mine) this.#tails.delete(name);
    }
  }

  /** Makes the folder and clears what writers that are gone have left half-written; once in the life of this object. */
  #open(): Promise<void> {
    this.#opened ??= this.#prepare().catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  async #prepare(): Promise<void> {
    await makeFolder(this.#options.dir);
    for (const name of await this.#names()) this.#known.add(name);
    const folders = this.#nested ? [...this.#known].map((name) => join(this.#options.dir, name)) : [this.#options.dir];
    for (const folder of folders) await sweepTemporaries(folder, Number);
  }

  /** May a document of this name be made? Looks on disk before it says full, for another process may have removed some. */
  async #admit(name: string, path: string): Promise<void> {
    await this.#refuseSetAside(path);
    const countMax = this.#options.countMax ?? COUNT_MAX;
    if (this.#known.size >= countMax) {
      this.#known.clear();
      for (const present of await this.#names()) this.#known.add(present);
    }
    if (this.#known.size >= countMax && !this.#known.has(name)) {
      throw new VmferryError(
        'state-unwritable',
        `${this.#options.dir} is full: it holds ${this.#known.size} documents of at most ${countMax}.`,
        {
          data: { path, countMax },
        },
      );
    }
  }

  async #names(): Promise<string[]> {
    const { dir, suffix } = this.#options;
    const names = (await entries(dir)).filter((entry) => !entry.startsWith('.'));
    if (!this.#nested) return names.filter((entry) => entry.endsWith(suffix)).map((entry) => entry.slice(0, -suffix.length));
    const present = await Promise.all(names.map((entry) => exists(join(dir, `${entry}${suffix}`))));
    return names.filter((_, index) => present[index]);
  }

  async #refuseSetAside(path: string): Promise<void> {
    if (!(await exists(`${path}.unreadable-1`))) return;
    throw new VmferryError('state-unreadable', `${path} was set aside as ${path}.unreadable-1. Mend it and rename it back.`, {
      data: { path },
    });
  }

  async #setAside(path: string, error: unknown): Promise<VmferryError> {
    const reason = error instanceof Error ? error.message : String(error);
    let count = 1;
    while (await exists(`${path}.unreadable-${count}`)) count += 1;
    const movedTo = `${path}.unreadable-${count}`;
    await rename(path, movedTo);
    await syncFolder(dirname(path));
    this.#options.report({ path, movedTo, reason });
    return new VmferryError(
      'state-unreadable',
      `${path} cannot be read (${reason}); it is kept as ${movedTo}. Mend it and rename it back.`,
      {
        cause: error,
        data: { path, movedTo },
      },
    );
  }
}

const SET_ASIDE = /\.unreadable-\d+$/;

/** At most one byte more than a document may have; null when the file is not there. A disk that fails is no reason to set a file aside. */
async function readBounded(path: string): Promise<Uint8Array | null> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const bytes = new Uint8Array(Math.min(size, BYTES_MAX + 1));
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw new VmferryError('state-unreadable', `${path} cannot be read: ${String(error)}`, { cause: error, data: { path } });
  }
}

function decodeText(bytes: Uint8Array): string {
  if (bytes.length > BYTES_MAX) throw new Error(`it is over ${BYTES_MAX} bytes`);
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}

async function makeFolder(dir: string): Promise<void> {
  try {
    const made = await mkdir(dir, { recursive: true, mode: 0o700 });
    if (made !== undefined) await syncFolder(dirname(made));
  } catch (error) {
    throw new VmferryError('state-unwritable', `${dir} cannot be made: ${String(error)}`, { cause: error, data: { path: dir } });
  }
}

async function entries(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return [];
    throw new VmferryError('state-unreadable', `${dir} cannot be read: ${String(error)}`, { cause: error, data: { path: dir } });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return false;
    throw new VmferryError('state-unreadable', `${path} cannot be looked up: ${String(error)}`, { cause: error, data: { path } });
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
