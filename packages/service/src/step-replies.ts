import { createHash } from 'node:crypto';
import { VmferryError } from '@vmferry/errors';
import { canonicalJson } from './canonical-json.js';

export interface StepKey {
  readonly id: string;
  /** Null for Begin, which makes the nonce. */
  readonly nonce: string | null;
  readonly step: string;
}

type Entry = { readonly digest: string; readonly answer: Promise<unknown>; finished: boolean };

/**
 * Makes a step idempotent by (id, nonce, step): the same body gets the recorded answer, or joins the one under way; another body is
 * refused with `step-mismatch` (I9). A failure is an answer too once the step was taken; a refusal of what it asks (a wrong permit, a
 * malformed cookie) and a retryable failure leave nothing behind, so that a wrong body never bars the right one. Volatile: what must
 * outlive the process is in the journal of the migration.
 */
export class StepReplies {
  readonly #entriesMax: number;
  readonly #entries = new Map<string, Entry>();

  constructor(options: { readonly entriesMax: number }) {
    this.#entriesMax = options.entriesMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Takes the step by `act`, once. `act` calls `taken` when it has accepted the body, before its first side effect. Throws
   * 'step-mismatch', or 'too-many-requests' when every place is held by a step under way.
   */
  take<A>(key: StepKey, body: unknown, act: (taken: () => void) => Promise<A>): Promise<A> {
    const name = canonicalJson([key.id, key.nonce, key.step]);
    const digest = createHash('sha256').update(canonicalJson(body)).digest('hex');
    const known = this.#entries.get(name);
    if (known !== undefined) {
      if (known.digest !== digest) return Promise.reject(mismatch(key));
      // The key holds the step, and a step has one type of answer.
      return known.answer as Promise<A>;
    }
    if (!this.#makeRoom()) {
      return Promise.reject(new VmferryError('too-many-requests', `${this.#entriesMax} steps are under way; try again.`));
    }
    return this.#begin(name, digest, act);
  }

  /** Drops what is recorded of a migration, when the migration itself is forgotten. */
  forget(id: string): void {
    const prefix = `[${canonicalJson(id)},`;
    for (const [name, entry] of this.#entries) {
      if (entry.finished && name.startsWith(prefix)) this.#entries.delete(name);
    }
  }

  #begin<A>(name: string, digest: string, act: (taken: () => void) => Promise<A>): Promise<A> {
    let isTaken = false;
    const answer = Promise.resolve().then(() =>
      act(() => {
        isTaken = true;
      }),
    );
    const entry: Entry = { digest, answer, finished: false };
    this.#entries.set(name, entry);
    answer.then(
      () => {
        entry.finished = true;
      },
      (thrown: unknown) => {
        entry.finished = true;
        if (!isTaken || (thrown instanceof VmferryError && thrown.row.retryable)) this.#entries.delete(name);
      },
    );
    return answer;
  }

  /** Insertion order is age: the first finished entry is the oldest. */
  #makeRoom(): boolean {
    if (this.#entries.size < this.#entriesMax) return true;
    for (const [name, entry] of this.#entries) {
      if (!entry.finished) continue;
      this.#entries.delete(name);
      return true;
    }
    return false;
  }
}

function mismatch(key: StepKey): VmferryError {
  const detail = `${key.step} of migration ${key.id} was already taken with another body; send the first body again, or begin anew.`;
  return new VmferryError('step-mismatch', detail, { data: { step: key.step } });
}
