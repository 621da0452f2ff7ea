import type { DocumentStore } from '@vmferry/host-state';
import { keyName } from '@vmferry/migration';
import type { OutgoingJournal } from './outgoing-journal.js';

/** The journal of one migration as it is on disk: one write at a time, each on top of the one before. */
export class KeptJournal {
  readonly #store: DocumentStore<OutgoingJournal>;
  #value: OutgoingJournal;
  #writes: Promise<unknown> = Promise.resolve();

  constructor(store: DocumentStore<OutgoingJournal>, value: OutgoingJournal) {
    this.#store = store;
    this.#value = value;
  }

  get value(): OutgoingJournal {
    return this.#value;
  }

  /** Throws `state-unwritable`; the journal is then what it was. */
  async write(change: Partial<OutgoingJournal>): Promise<void> {
    const write = this.#writes.then(async () => {
      const next = { ...this.#value, ...change };
      await this.#store.write(keyName(next.machine.key), next);
      this.#value = next;
    });
    this.#writes = write.catch(() => undefined);
    await write;
  }

  async remove(): Promise<void> {
    await this.#store.remove(keyName(this.#value.machine.key));
  }
}
