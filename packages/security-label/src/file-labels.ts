import { VmferryError } from '@vmferry/errors';
import type { Documents, RememberedFile, RememberedFiles } from './documents.js';

/** How one kind of label is seen and set: an owner, or a context. */
export interface FileLabelling<Label> {
  /** What this label is called in a message: `owner`. */
  readonly what: string;
  /** As the file has it now; null for a file that is gone. */
  current(path: string): Promise<{ readonly label: Label } | null>;
  /** Changes a file that has the label `from`, by one descriptor, never by path twice: the label that it had, whether it was changed or not. */
  change(path: string, to: Label, o: { readonly from: Label }): Label;
  same(a: Label, b: Label): boolean;
}

/** A file to label. */
export interface ToLabel<Label> {
  readonly path: string;
  readonly label: Label;
}

/**
 * Labels of files that are given and given back. What a file had is remembered durably before it is changed, and put back once, when no other guest of
 * this host uses the file. The caller sees to it that one change happens at a time.
 */
export class FileLabels<Label> {
  readonly #memory: Documents<RememberedFiles<Label>>;
  readonly #labelling: FileLabelling<Label>;

  constructor(memory: Documents<RememberedFiles<Label>>, labelling: FileLabelling<Label>) {
    this.#memory = memory;
    this.#labelling = labelling;
  }

  /**
   * Looks at every file, writes the memory, and only then changes labels. Resolves with the paths that were not remembered before. Throws `label-failed`,
   * and then has changed nothing, or remembers what it could not put back.
   */
  async give(uuid: string, files: readonly ToLabel<Label>[]): Promise<readonly string[]> {
    const before = (await this.#memory.read(uuid)) ?? { files: [] };
    const others = await this.ofOthers(uuid);
    const added: RememberedFile<Label>[] = [];
    /** What has to be found on a file when it is changed: another label says that it is another file. */
    const seen = new Map<string, { readonly label: Label }>();
    for (const { path, label } of files) {
      const now = await this.#labelling.current(path);
      if (now === null) throw this.#failed(path, 'there is no such file');
      seen.set(path, now);
      if (before.files.some((file) => file.path === path)) continue;
      const ofOther = others.get(path);
      // As of a guest that comes from another host: there is nothing to give back here.
      if (ofOther === undefined && this.#labelling.same(now.label, label)) continue;
      added.push({ path, before: ofOther === undefined ? now.label : ofOther.before });
    }
    if (added.length > 0) await this.#memory.write(uuid, { files: [...before.files, ...added] });
    await this.#changeAll(uuid, files, seen, before);
    return added.map(({ path }) => path);
  }

  async #changeAll(
    uuid: string,
    files: readonly ToLabel<Label>[],
    seen: ReadonlyMap<string, { readonly label: Label }>,
    before: RememberedFiles<Label>,
  ): Promise<void> {
    const changed: (ToLabel<Label> & { readonly had: Label })[] = [];
    let at = '';
    try {
      for (const { path, label } of files) {
        at = path;
        const { label: from } = seen.get(path) ?? { label };
        const had = this.#labelling.change(path, label, { from });
        if (!this.#labelling.same(from, had))
          throw this.#failed(path, `its ${this.#labelling.what} was changed, or it was exchanged for another file, meanwhile`);
        changed.push({ path, label, had });
      }
    } catch (thrown) {
      const error = this.#failed(at, thrown);
      const stuck: RememberedFile<Label>[] = [];
      for (const { path, label, had } of changed.reverse()) {
        try {
          this.#labelling.change(path, had, { from: label });
        } catch {
          // The first error is the one to tell; this file stays remembered, so that it is put back with the guest's others.
          stuck.push({ path, before: had });
        }
      }
      const known = before.files.map(({ path }) => path);
      await this.#remember(uuid, { files: [...before.files, ...stuck.filter(({ path }) => !known.includes(path))] });
      throw error;
    }
  }

  /**
   * Puts back what the files had, each that still has the label `given`: a file that is gone, or that somebody has since labelled otherwise, is
   * theirs. Forgets a file only when it is as it was, so that a restore that failed can be done again.
   */
  async giveBack(uuid: string, which: (path: string) => boolean, given: (path: string) => Label): Promise<void> {
    const remembered = await this.#memory.read(uuid);
    if (remembered === null) return;
    const others = await this.ofOthers(uuid);
    const kept = remembered.files.filter(({ path }) => !which(path));
    let firstError: VmferryError | undefined;
    for (const file of remembered.files.filter(({ path }) => which(path))) {
      try {
        if (!others.has(file.path)) await this.#putBack(file, given(file.path));
      } catch (thrown) {
        firstError ??= this.#failed(file.path, thrown);
        kept.push(file);
      }
    }
    await this.#remember(uuid, { files: kept });
    if (firstError !== undefined) throw firstError;
  }

  async #putBack({ path, before }: RememberedFile<Label>, given: Label): Promise<void> {
    const now = await this.#labelling.current(path);
    if (now !== null && this.#labelling.same(now.label, given)) this.#labelling.change(path, before, { from: given });
  }

  /** The files that are remembered of a guest: those that are labelled for it. */
  async remembered(uuid: string): Promise<readonly string[]> {
    return ((await this.#memory.read(uuid))?.files ?? []).map(({ path }) => path);
  }

  /** What the other guests of this host have labelled: a shared disk stays theirs, and what it had before is what they remember. */
  async ofOthers(uuid: string): Promise<Map<string, { readonly before: Label; readonly uuid: string }>> {
    const guests = (await this.#memory.list()).filter(({ name }) => name !== uuid);
    return new Map(
      guests.flatMap(({ name, value }) => value.files.map(({ path, before }) => [path, { before, uuid: name }] as const)),
    );
  }

  #remember(uuid: string, files: RememberedFiles<Label>): Promise<void> {
    return files.files.length === 0 ? this.#memory.remove(uuid) : this.#memory.write(uuid, files);
  }

  #failed(path: string, reason: unknown): VmferryError {
    if (VmferryError.is(reason, 'label-failed')) return reason;
    const text = reason instanceof Error ? reason.message : String(reason);
    return new VmferryError('label-failed', `The ${this.#labelling.what} of ${path} cannot be changed: ${text}`, {
      cause: reason,
      data: { path },
    });
  }
}

/** Does one thing after the other, whether the earlier ones worked or not. */
export class Turns {
  #tail: Promise<unknown> = Promise.resolve();

  take<T>(act: () => Promise<T>): Promise<T> {
    const mine = this.#tail.then(act);
    this.#tail = mine.catch(() => undefined);
    return mine;
  }
}
