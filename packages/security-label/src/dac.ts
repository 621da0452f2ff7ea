import { lstat, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Findings, VmferryError } from '@vmferry/errors';
import { chownByDescriptor, type Owner } from '@vmferry/posix';
import type { OwnerMemory, RememberedOwners } from './owner-memory.js';
import { checkReach } from './reach.js';
import type { LabelledDomain, SecurityDriver } from './security-driver.js';

export interface DacOptions {
  /** Whom QEMU runs as; not root. */
  readonly user: Owner;
  readonly memory: OwnerMemory;
  /** Labelled files must lie below one of these folders (threats, row 3); `/` allows all. */
  readonly imageRoots: readonly string[];
}

type Remembered = RememberedOwners['files'][number];

/**
 * Discretionary access control, for an agent that is root: QEMU runs as an unprivileged user, which is made the owner of what the
 * guest writes. The owner before is remembered durably before it is changed, and put back once, when no other guest of this host uses the file.
 */
export class DacLabels implements SecurityDriver {
  readonly name = 'dac';
  readonly user: Owner;
  readonly #memory: OwnerMemory;
  readonly #imageRoots: readonly string[];
  #tail: Promise<unknown> = Promise.resolve();

  constructor({ user, memory, imageRoots }: DacOptions) {
    this.user = user;
    this.#memory = memory;
    this.#imageRoots = imageRoots;
  }

  async faults({ readable, created, connected, writable }: LabelledDomain): Promise<readonly VmferryError[]> {
    const findings = new Findings();
    for (const path of readable) await findings.later(() => checkReach(path, this.user, 'read'));
    for (const path of created) await findings.later(() => checkReach(path, this.user, 'create'));
    for (const path of connected) await findings.later(() => checkReach(path, this.user, 'connect'));
    for (const path of writable) await findings.later(() => this.#checkImage(path));
    return findings.errors;
  }

  labelAll(domain: LabelledDomain): Promise<readonly string[]> {
    return this.#inTurn(async () => {
      const [first] = await this.faults(domain);
      if (first !== undefined) throw first;
      return this.#label(domain.uuid, domain.writable);
    });
  }

  labelPath(domain: LabelledDomain, path: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#label(domain.uuid, [path]);
    });
  }

  restoreAll(domain: LabelledDomain, { migrated }: { readonly migrated: boolean }): Promise<void> {
    return this.#inTurn(() => this.#restore(domain.uuid, ({ path }) => !migrated || !domain.writable.includes(path)));
  }

  restorePath(domain: LabelledDomain, path: string): Promise<void> {
    return this.#inTurn(() => this.#restore(domain.uuid, (file) => file.path === path));
  }

  /** Who holds an open file may use it whoever owns it: nothing to change. */
  labelImageFd(_domain: LabelledDomain, _fd: number): Promise<void> {
    return Promise.resolve();
  }

  /** Looks at every path, writes the memory, and only then changes owners. Resolves with the paths that were not remembered before. */
  async #label(uuid: string, paths: readonly string[]): Promise<readonly string[]> {
    const before = (await this.#memory.read(uuid)) ?? { files: [] };
    const others = await this.#filesOfOthers(uuid);
    const added: Remembered[] = [];
    for (const path of paths) {
      await this.#checkImage(path);
      if (before.files.some((file) => file.path === path)) continue;
      const { uid, gid } = others.get(path) ?? (await lstat(path));
      added.push({ path, owner: { uid, gid } });
    }
    if (added.length > 0) await this.#memory.write(uuid, { files: [...before.files, ...added] });
    const changed: Remembered[] = [];
    try {
      for (const path of paths) changed.push({ path, owner: chownByDescriptor(path, this.user) });
      return added.map(({ path }) => path);
    } catch (error) {
      for (const { path, owner } of changed.reverse()) chownByDescriptor(path, owner);
      await this.#remember(uuid, before);
      throw VmferryError.is(error, 'label-failed') ? error : labelFailed(paths[changed.length] ?? '', error);
    }
  }

  /** Forgets a file only when it is as it was, so that a restore that failed can be done again. */
  async #restore(uuid: string, which: (file: Remembered) => boolean): Promise<void> {
    const remembered = await this.#memory.read(uuid);
    if (remembered === null) return;
    const others = await this.#filesOfOthers(uuid);
    const kept = remembered.files.filter((file) => !which(file));
    let firstError: VmferryError | undefined;
    for (const file of remembered.files.filter(which)) {
      try {
        if (!others.has(file.path)) await this.#putBack(file);
      } catch (error) {
        firstError ??= VmferryError.is(error, 'label-failed') ? error : labelFailed(file.path, error);
        kept.push(file);
      }
    }
    await this.#remember(uuid, { files: kept });
    if (firstError !== undefined) throw firstError;
  }

  /** A file that is gone, or that somebody has since given to another owner, is theirs. */
  async #putBack({ path, owner }: Remembered): Promise<void> {
    const now = await lstat(path).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    });
    if (now === null || now.uid !== this.user.uid || now.gid !== this.user.gid) return;
    chownByDescriptor(path, owner);
  }

  #remember(uuid: string, owners: RememberedOwners): Promise<void> {
    return owners.files.length === 0 ? this.#memory.remove(uuid) : this.#memory.write(uuid, owners);
  }

  /** What the other guests of this host have labelled: a shared disk stays theirs, and its owner before is what they remember. */
  async #filesOfOthers(uuid: string): Promise<Map<string, Owner>> {
    const guests = (await this.#memory.list()).filter(({ name }) => name !== uuid);
    return new Map(guests.flatMap(({ value }) => value.files.map(({ path, owner }) => [path, owner] as const)));
  }

  async #checkImage(path: string): Promise<void> {
    await checkReach(path, this.user, 'label');
    const folder = await realpath(dirname(path));
    if (this.#imageRoots.some((root) => folder === root || folder.startsWith(root.endsWith('/') ? root : `${root}/`))) return;
    const roots = this.#imageRoots.join(', ');
    throw new VmferryError(
      'label-failed',
      `${path} lies in ${folder}, outside of the folders for images (${roots}). Move it there, or add its folder.`,
      {
        data: { path },
      },
    );
  }

  /** One change of the memory at a time. */
  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const mine = this.#tail.then(act);
    this.#tail = mine.catch(() => undefined);
    return mine;
  }
}

function labelFailed(path: string, error: unknown): VmferryError {
  const reason = error instanceof Error ? error.message : String(error);
  return new VmferryError('label-failed', `The owner of ${path} cannot be changed: ${reason}`, { cause: error, data: { path } });
}
