import { VmferryError } from '@vmferry/errors';
import type { CliContext } from '../context.js';
import { onSignals } from '../signals.js';
import type { Reporter } from './reporter.js';

/** Ctrl-C during a migration: the first asks for a cancel, or withdraws a request that was not answered yet; the second detaches. */
export class Interruption {
  readonly #reporter: Reporter;
  readonly #wanted = new AbortController();
  readonly #detached = new AbortController();
  readonly #release: () => void;
  #cancel: (() => Promise<unknown>) | null = null;

  constructor(context: CliContext, reporter: Reporter) {
    this.#reporter = reporter;
    this.#release = onSignals((listener) => context.onSignal(['SIGINT'], listener), context.clock, {
      first: () => this.#cancelWanted(),
      again: () =>
        this.#detached.abort(new VmferryError('migration-undecided', 'This command stopped watching; the migration goes on.')),
    });
  }

  get cancelAsked(): boolean {
    return this.#wanted.signal.aborted;
  }

  /** Aborted by the first Ctrl-C. */
  get wanted(): AbortSignal {
    return this.#wanted.signal;
  }

  /** Aborted by the second Ctrl-C. */
  get detached(): AbortSignal {
    return this.#detached.signal;
  }

  /** From here on there is something to cancel; a Ctrl-C that came earlier is acted on now. */
  arm(cancel: () => Promise<unknown>): void {
    this.#cancel = cancel;
    if (this.cancelAsked) this.#ask(cancel);
  }

  release(): void {
    this.#release();
  }

  #cancelWanted(): void {
    this.#reporter.note('cancelling; Ctrl-C again stops watching');
    this.#wanted.abort();
    if (this.#cancel !== null) this.#ask(this.#cancel);
  }

  /** A cancel that is refused changes nothing: how the migration ends is told by the migration. */
  #ask(cancel: () => Promise<unknown>): void {
    cancel().catch((thrown: unknown) => {
      const { message, code } = VmferryError.from(thrown);
      this.#reporter.note(`the cancel was not taken: ${message} (${code})`);
    });
  }
}
