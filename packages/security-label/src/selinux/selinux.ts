import { lstat } from 'node:fs/promises';
import { Findings, VmferryError } from '@vmferry/errors';
import { isErrno, withReadable } from '@vmferry/posix';
import type { Documents, RememberedFiles } from '../documents.js';
import { parseRememberedFiles } from '../documents.js';
import { FileLabels, type ToLabel, Turns } from '../file-labels.js';
import type {
  ExecLabel,
  GuestLabel,
  Labelled,
  LabelledDomain,
  OwnFiles,
  SecurityDriver,
  SecurityModel,
  SocketMaker,
} from '../security-driver.js';
import { formatContext, parseContext } from './context.js';
import { changeFileContext, type SelinuxKernel, withOwnFile } from './kernel.js';
import { LabelBook, type LabelBookOptions, type SelinuxLabel, wishOf } from './labels.js';

export interface SelinuxOptions extends LabelBookOptions {
  /** The contexts that files had before a guest got them; null: none. */
  readonly files: Documents<RememberedFiles<string | null>>;
}

const model: SecurityModel = { model: 'selinux', doi: '0' };

/**
 * Mandatory access control by SELinux (libvirt-protocol, A8): each guest has a pair of categories of its own, QEMU is born with it, and what it writes
 * carries it. Who may write is still the owner's matter: beside `dac`, in a stack.
 */
export class SelinuxLabels implements SecurityDriver {
  readonly name = 'selinux';
  readonly models = [model];
  readonly user = null;
  readonly #kernel: SelinuxKernel;
  readonly #book: LabelBook;
  readonly #files: FileLabels<string | null>;
  readonly #turns = new Turns();

  constructor(o: SelinuxOptions) {
    this.#kernel = o.kernel;
    this.#book = new LabelBook(o);
    this.#files = new FileLabels(o.files, {
      what: 'SELinux context',
      current: (path) => this.#contextOf(path),
      change: (path, to, how) => changeFileContext(o.kernel, path, to, how),
      same: (a, b) => a === b,
    });
  }

  async faults(domain: LabelledDomain): Promise<readonly VmferryError[]> {
    const findings = new Findings();
    const wish = wishOf(domain);
    for (const text of [wish?.label, wish?.baseLabel].filter((each) => each !== undefined))
      findings.of(() => this.#checkValid(text));
    if (wish === undefined || wish.relabel) {
      const others = await this.#files.ofOthers(domain.uuid);
      for (const path of domain.writable)
        await findings.later(async () => {
          if ((await this.#contextOf(path)) === null) throw failed(path, 'there is no such file');
          const other = domain.shared.includes(path) ? undefined : others.get(path);
          if (other !== undefined)
            throw failed(path, `the guest ${other.uuid} has it; a disk of several guests needs <shareable/>`);
        });
    }
    return findings.errors;
  }

  labelAll(domain: LabelledDomain): Promise<readonly string[]> {
    return this.#turns.take(async () => {
      const [first] = await this.faults(domain);
      if (first !== undefined) throw first;
      const wasThere = (await this.#book.of(domain.uuid)) !== null;
      try {
        const alone = domain.writable.filter((path) => !domain.shared.includes(path));
        const found = await Promise.all(alone.map(async (path) => (await this.#contextOf(path))?.label ?? null));
        const label = await this.#book.assign(domain, found);
        if (label?.relabel !== true) return [];
        return await this.#files.give(
          domain.uuid,
          domain.writable.map((path) => this.#toLabel(path, label, domain)),
        );
      } catch (error) {
        if (!wasThere) await this.#releaseUnused(domain.uuid);
        throw error;
      }
    });
  }

  async labelOwn({ uuid }: LabelledDomain, { folder, log }: OwnFiles): Promise<void> {
    const label = await this.#book.of(uuid);
    if (label === null) return;
    // Nobody else can put anything there: the folder and its parents are the agent's own.
    for (const path of [folder, log]) withOwnFile(path, (fd) => this.#kernel.setFileContext(fd, label.image));
  }

  restoreAll(domain: LabelledDomain, { migrated }: { readonly migrated: boolean }): Promise<void> {
    const { uuid, writable } = domain;
    return this.#giveBack(
      domain,
      (path) => !migrated || !writable.includes(path),
      () => this.#releaseUnused(uuid),
    );
  }

  labelPath({ uuid }: LabelledDomain, path: string): Promise<void> {
    return this.#turns.take(async () => {
      const label = await this.#book.of(uuid);
      if (label?.relabel === true) await this.#files.give(uuid, [{ path, label: label.image }]);
    });
  }

  restorePath(domain: LabelledDomain, path: string): Promise<void> {
    return this.#giveBack(
      domain,
      (file) => file === path,
      () => Promise.resolve(),
    );
  }

  release({ uuid }: Labelled): Promise<void> {
    return this.#turns.take(() => this.#releaseUnused(uuid));
  }

  reserve({ uuid }: Labelled, pid: number): Promise<void> {
    return this.#turns.take(async () => {
      const context = this.#kernel.processContext(pid);
      const { domain, emulated } = this.#kernel.defaults;
      // Without a label of its own (`none`, or started by somebody else) it has none to keep.
      const types = [domain, emulated].map((text) => parseContext(text).type);
      if (context !== null && types.includes(parseContext(context).type)) await this.#book.reserve(uuid, context);
    });
  }

  async execLabels({ uuid }: Labelled): Promise<readonly ExecLabel[]> {
    const label = await this.#book.of(uuid);
    return label === null ? [] : [{ attribute: '/proc/self/attr/exec', text: label.process }];
  }

  async labelsOf({ uuid }: Labelled): Promise<readonly GuestLabel[]> {
    const label = await this.#book.of(uuid);
    return label === null ? [] : [{ ...model, label: label.process, imageLabel: label.image }];
  }

  async labelImageFd({ uuid }: Labelled, fd: number): Promise<void> {
    const label = await this.#book.of(uuid);
    if (label !== null) this.#labelFd(fd, label.image);
  }

  /** QEMU's own label: a policy lets it use pipes and sockets of its own. */
  async labelStreamFd({ uuid }: Labelled, fd: number): Promise<void> {
    const label = await this.#book.of(uuid);
    if (label !== null) this.#labelFd(fd, label.process);
  }

  async socketMaker({ uuid }: Labelled, whose: 'guest' | 'agent'): Promise<SocketMaker> {
    const label = await this.#book.of(uuid);
    if (label === null) return (make) => make();
    const context = whose === 'guest' ? label.process : this.#ownContextFor(label);
    return (make) => {
      this.#kernel.setSocketCreation(context);
      try {
        return make();
      } finally {
        this.#kernel.setSocketCreation(null);
      }
    };
  }

  /** The agent's own, with the categories of the guest: what that guest may talk to. */
  #ownContextFor({ process }: SelinuxLabel): string {
    const { level } = parseContext(process);
    const own = parseContext(this.#kernel.ownContext());
    return formatContext({ ...own, ...(level === undefined ? {} : { level }) });
  }

  #labelFd(fd: number, context: string): void {
    try {
      this.#kernel.setFileContext(fd, context);
    } catch (cause) {
      throw failed(`descriptor ${fd}`, cause);
    }
  }

  #giveBack(domain: LabelledDomain, which: (path: string) => boolean, then: () => Promise<void>): Promise<void> {
    return this.#turns.take(async () => {
      const label = await this.#book.of(domain.uuid);
      const given = (path: string) => {
        if (label === null) throw failed(path, `nobody knows which label the guest ${domain.uuid} had`);
        return this.#toLabel(path, label, domain).label;
      };
      await this.#files.giveBack(domain.uuid, which, given);
      await then();
    });
  }

  /** As long as a file has the label, nobody else may get it. */
  async #releaseUnused(uuid: string): Promise<void> {
    if ((await this.#files.remembered(uuid)).length === 0) await this.#book.release(uuid);
  }

  #toLabel(path: string, label: SelinuxLabel, { shared }: LabelledDomain): ToLabel<string> {
    return { path, label: shared.includes(path) ? this.#book.sharedImage() : label.image };
  }

  async #contextOf(path: string): Promise<{ readonly label: string | null } | null> {
    try {
      await lstat(path);
      return { label: withReadable(path, (fd) => this.#kernel.fileContext(fd)) };
    } catch (error) {
      if (isErrno(error, 'ENOENT') || (error instanceof Error && 'code' in error && error.code === 'ENOENT')) return null;
      throw VmferryError.is(error, 'label-failed') ? error : failed(path, error);
    }
  }

  #checkValid(text: string): void {
    const context = formatContext(parseContext(text));
    if (!this.#kernel.isValid(context))
      throw new VmferryError('label-failed', `The policy of this host does not have the SELinux context ${context}.`);
  }
}

function failed(path: string, reason: unknown): VmferryError {
  const text = reason instanceof Error ? reason.message : String(reason);
  return new VmferryError('label-failed', `${path} cannot get its SELinux context: ${text}.`, { cause: reason, data: { path } });
}

/** Checks a document of remembered contexts; throws when it is none. */
export function parseRememberedContexts(value: unknown): RememberedFiles<string | null> {
  return parseRememberedFiles(value, (context) => {
    if (context === null || typeof context === 'string') return context === null ? null : formatContext(parseContext(context));
    throw new Error('a context is neither text nor null');
  });
}
