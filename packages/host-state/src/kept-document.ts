import type { DocumentStore } from './document-store.js';

/** One document as it is on disk, of whoever alone writes it: one write at a time, each on top of the one before. */
export class KeptDocument<T extends object> {
  readonly #store: DocumentStore<T>;
  readonly #name: string;
  #value: T;
  #writes: Promise<unknown> = Promise.resolve();

  /** `value` is what is on disk, or what the first write puts there. */
  constructor(store: DocumentStore<T>, name: string, value: T) {
    this.#store = store;
    this.#name = name;
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  /** Throws `state-unwritable`; the document is then what it was. */
  async write(change: Partial<T>): Promise<void> {
    const write = this.#writes.then(async () => {
      const next = { ...this.#value, ...change };
      await this.#store.write(this.#name, next);
      this.#value = next;
    });
    this.#writes = write.catch(() => undefined);
    await write;
  }

  async remove(): Promise<void> {
    await this.#store.remove(this.#name);
  }
}
