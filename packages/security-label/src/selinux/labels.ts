import { VmferryError } from '@vmferry/errors';
import type { Random } from '@vmferry/seams';
import type { Documents } from '../documents.js';
import type { LabelledDomain } from '../security-driver.js';
import { categoryRange, formatContext, isPairOf, levelOf, pairAt, pairCount, parseContext } from './context.js';
import type { SelinuxKernel } from './kernel.js';

/** The label of one guest. */
export interface SelinuxLabel {
  /** Of QEMU. */
  readonly process: string;
  /** Of what this guest alone writes. */
  readonly image: string;
  /** Whether its files get it. */
  readonly relabel: boolean;
}

/** Which guest has a level: whoever makes the document first. */
export interface LevelOwner {
  readonly uuid: string;
}

export interface LabelBookOptions {
  readonly kernel: SelinuxKernel;
  /** Of the guests of this host, by uuid. */
  readonly labels: Documents<SelinuxLabel>;
  /** The levels that are in use, by their names. */
  readonly levels: Documents<LevelOwner>;
  readonly random: Random;
}

/**
 * Who has which label on this host. A level is taken by making its document, which of two agents only one can; so no pair is given twice, and those of the
 * guests that run stay taken when an agent starts anew.
 */
export class LabelBook {
  readonly #kernel: SelinuxKernel;
  readonly #labels: Documents<SelinuxLabel>;
  readonly #levels: Documents<LevelOwner>;
  readonly #random: Random;

  constructor({ kernel, labels, levels, random }: LabelBookOptions) {
    this.#kernel = kernel;
    this.#labels = labels;
    this.#levels = levels;
    this.#random = random;
  }

  of(uuid: string): Promise<SelinuxLabel | null> {
    return this.#labels.read(uuid);
  }

  /**
   * The label of a guest, made and taken when it has none. `found`: the contexts that its images have by now. Null when the definition wants none. Throws
   * `label-failed` when the label, or all of them, are other guests'.
   */
  async assign(domain: LabelledDomain, found: readonly (string | null)[]): Promise<SelinuxLabel | null> {
    const wish = wishOf(domain);
    if (wish?.type === 'none') return null;
    const known = await this.#labels.read(domain.uuid);
    if (known !== null && (wish?.label === undefined || wish.label === known.process)) {
      await this.#take(known.process, domain.uuid);
      return known;
    }
    const label = await (wish?.label === undefined
      ? this.#generate(domain, wish?.baseLabel, found)
      : this.#labelled(parseContext(wish.label), domain.uuid, wish.relabel));
    await this.#labels.write(domain.uuid, label);
    return label;
  }

  /** Of a guest whose process has this context: taken again, whatever was lost on disk. */
  async reserve(uuid: string, process: string): Promise<void> {
    const { level } = parseContext(process);
    if (level === undefined || (await this.#labels.read(uuid)) !== null) return;
    await this.#labels.write(uuid, await this.#labelled(parseContext(process), uuid, true));
  }

  /** Also of levels that a start had taken when its agent ended before the label was written. */
  async release(uuid: string): Promise<void> {
    await this.#labels.remove(uuid);
    for (const { name, value } of await this.#levels.list()) if (value.uuid === uuid) await this.#levels.remove(name);
  }

  /** What files that several guests write get: no categories, which every guest of this host may use. */
  sharedImage(): string {
    const { sensitivity } = categoryRange(parseContext(this.#kernel.ownContext()).level);
    return this.#context(this.#kernel.defaults.image, sensitivity, 'object_r');
  }

  async #generate(
    { uuid, emulated }: LabelledDomain,
    base: string | undefined,
    found: readonly (string | null)[],
  ): Promise<SelinuxLabel> {
    const { defaults } = this.#kernel;
    const level = await this.#levelFor(uuid, found);
    const process = this.#context(base ?? (emulated ? defaults.emulated : defaults.domain), level);
    return { process, image: this.#imageOf(level), relabel: true };
  }

  /** The level that its images have already, as those of a guest that comes in while its source still writes; else one at random that nobody has. */
  async #levelFor(uuid: string, found: readonly (string | null)[]): Promise<string> {
    const range = categoryRange(parseContext(this.#kernel.ownContext()).level);
    const imageType = parseContext(this.#kernel.defaults.image).type;
    const labelled = found.filter((text) => text !== null).map(parseContext);
    const levels = labelled.filter(({ type, level }) => type === imageType && isPairOf(range, level)).map(({ level }) => level);
    const [carried, other] = new Set(levels);
    if (carried !== undefined && other === undefined) {
      await this.#takeLevel(carried, uuid);
      return carried;
    }
    const taken = new Set((await this.#levels.list()).map(({ name }) => name));
    const count = pairCount(range);
    const start = Number.parseInt(this.#random.hex(6), 16) % count;
    for (let tried = 0; tried < count; tried += 1) {
      const level = levelOf(range, pairAt(range, (start + tried) % count));
      const name = documentName(level) ?? '';
      if (!taken.has(name) && (await this.#levels.create(name, { uuid })).uuid === uuid) return level;
    }
    throw new VmferryError('label-failed', `All ${count} pairs of SELinux categories of this host are in use.`);
  }

  async #labelled(context: ReturnType<typeof parseContext>, uuid: string, relabel: boolean): Promise<SelinuxLabel> {
    const process = formatContext(context);
    await this.#take(process, uuid);
    return { process, image: this.#imageOf(context.level), relabel };
  }

  async #take(process: string, uuid: string): Promise<void> {
    const { level } = parseContext(process);
    if (level !== undefined) await this.#takeLevel(level, uuid);
  }

  /** Levels without categories are everybody's. */
  async #takeLevel(level: string, uuid: string): Promise<void> {
    const name = documentName(level);
    if (name === null) return;
    const owner = await this.#levels.create(name, { uuid });
    if (owner.uuid === uuid) return;
    throw new VmferryError(
      'label-failed',
      `The SELinux level ${level} is that of the guest ${owner.uuid} on this host. Give this guest another label; or, when its images have it from another host and it runs nowhere, run "restorecon" on them.`,
      { data: { level, uuid: owner.uuid } },
    );
  }

  #imageOf(level: string | undefined): string {
    return this.#context(this.#kernel.defaults.image, level, 'object_r');
  }

  /** The type of `base`; the user, and of a process the role too, are the agent's own (A8). */
  #context(base: string, level: string | undefined, role?: string): string {
    const own = parseContext(this.#kernel.ownContext());
    const { type } = parseContext(base);
    return formatContext({ user: own.user, role: role ?? own.role, type, ...(level === undefined ? {} : { level }) });
  }
}

/** What the definition wants of SELinux. */
export function wishOf({ secLabels }: LabelledDomain): LabelledDomain['secLabels'][number] | undefined {
  return secLabels.find(({ model }) => model === undefined || model === 'selinux');
}

/** Null for a level without categories. */
function documentName(level: string | undefined): string | null {
  return level === undefined || !level.includes(':') ? null : level.replaceAll(/[^\w.-]/g, '_');
}

/** Checks documents; both throw when they are none. */
export function parseSelinuxLabel(value: unknown): SelinuxLabel {
  if (typeof value !== 'object' || value === null || !('process' in value) || !('image' in value) || !('relabel' in value))
    throw new Error('process, image or relabel is missing');
  const { process, image, relabel } = value;
  if (typeof process !== 'string' || typeof image !== 'string' || typeof relabel !== 'boolean')
    throw new Error('process or image is no text, or relabel neither true nor false');
  return { process: formatContext(parseContext(process)), image: formatContext(parseContext(image)), relabel };
}

export function parseLevelOwner(value: unknown): LevelOwner {
  if (typeof value !== 'object' || value === null || !('uuid' in value) || typeof value.uuid !== 'string')
    throw new Error('uuid is missing');
  return { uuid: value.uuid };
}
