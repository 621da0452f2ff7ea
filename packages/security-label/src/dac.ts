import { chown, lstat, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Findings, VmferryError } from '@vmferry/errors';
import { chownByDescriptor, type Owner } from '@vmferry/posix';
import { type Documents, parseRememberedFiles, type RememberedFiles } from './documents.js';
import { type FileLabelling, FileLabels, Turns } from './file-labels.js';
import { checkReach } from './reach.js';
import type {
  ExecLabel,
  GuestLabel,
  LabelledDomain,
  OwnFiles,
  SecurityDriver,
  SecurityModel,
  SocketMaker,
} from './security-driver.js';

export interface DacOptions {
  /** Whom QEMU runs as; not root. */
  readonly user: Owner;
  readonly memory: Documents<RememberedFiles<Owner>>;
  /** Labelled files must lie below one of these folders (threats, row 3); `/` allows all. */
  readonly imageRoots: readonly string[];
}

const model: SecurityModel = { model: 'dac', doi: '0' };

/**
 * Discretionary access control, for an agent that is root: QEMU runs as an unprivileged user, which is made the owner of what the
 * guest writes. The owner before is remembered durably before it is changed, and put back once, when no other guest of this host uses the file.
 */
export class DacLabels implements SecurityDriver {
  readonly name = 'dac';
  readonly models = [model];
  readonly user: Owner;
  readonly #files: FileLabels<Owner>;
  readonly #imageRoots: readonly string[];
  readonly #turns = new Turns();

  constructor({ user, memory, imageRoots }: DacOptions) {
    this.user = user;
    this.#files = new FileLabels(memory, owners);
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
    return this.#turns.take(async () => {
      const [first] = await this.faults(domain);
      if (first !== undefined) throw first;
      return this.#files.give(domain.uuid, domain.writable.map(this.#owned));
    });
  }

  /** QEMU makes its sockets in the folder; its log it gets as a descriptor. */
  async labelOwn(_domain: LabelledDomain, { folder }: OwnFiles): Promise<void> {
    await chown(folder, this.user.uid, this.user.gid);
  }

  labelPath(domain: LabelledDomain, path: string): Promise<void> {
    return this.#turns.take(async () => {
      await this.#checkImage(path);
      await this.#files.give(domain.uuid, [this.#owned(path)]);
    });
  }

  restoreAll({ uuid, writable }: LabelledDomain, { migrated }: { readonly migrated: boolean }): Promise<void> {
    return this.#giveBack(uuid, (path) => !migrated || !writable.includes(path));
  }

  restorePath({ uuid }: LabelledDomain, path: string): Promise<void> {
    return this.#giveBack(uuid, (file) => file === path);
  }

  /** All guests run as one user. */
  release(): Promise<void> {
    return Promise.resolve();
  }

  reserve(): Promise<void> {
    return Promise.resolve();
  }

  /** The launcher changes the user itself. */
  execLabels(): Promise<readonly ExecLabel[]> {
    return Promise.resolve([]);
  }

  labelsOf(): Promise<readonly GuestLabel[]> {
    const label = `+${this.user.uid}:+${this.user.gid}`;
    return Promise.resolve([{ ...model, label, imageLabel: label }]);
  }

  /** Who holds an open file may use it whoever owns it: nothing to change. */
  labelImageFd(): Promise<void> {
    return Promise.resolve();
  }

  labelStreamFd(): Promise<void> {
    return Promise.resolve();
  }

  socketMaker(): Promise<SocketMaker> {
    return Promise.resolve((make) => make());
  }

  readonly #owned = (path: string) => ({ path, label: this.user });

  #giveBack(uuid: string, which: (path: string) => boolean): Promise<void> {
    return this.#turns.take(() => this.#files.giveBack(uuid, which, () => this.user));
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
}

const owners: FileLabelling<Owner> = {
  what: 'owner',
  async current(path) {
    try {
      const { uid, gid } = await lstat(path);
      return { label: { uid, gid } };
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    }
  },
  change: (path, to, o) => chownByDescriptor(path, to, o),
  same: (a, b) => a.uid === b.uid && a.gid === b.gid,
};

/** Checks a document of remembered owners; throws when it is none. */
export function parseRememberedOwners(value: unknown): RememberedFiles<Owner> {
  return parseRememberedFiles(value, (owner) => {
    if (typeof owner !== 'object' || owner === null || !('uid' in owner) || !('gid' in owner))
      throw new Error('an owner has no uid or gid');
    return { uid: parseId(owner.uid), gid: parseId(owner.gid) };
  });
}

function parseId(id: unknown): number {
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < 0xffff_ffff) return id;
  throw new Error('an id is no whole number');
}
