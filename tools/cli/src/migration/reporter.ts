import type { MigrationResource } from '@vmferry/api';
import { fromProblem, type VmferryError } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';
import type { CliContext } from '../context.js';
import { failureJson, failureText } from '../output/failure.js';
import { printable } from '../output/printable.js';
import { progressLine, summaryText } from '../output/progress-line.js';
import { LiveLine, type Output } from '../output/terminal.js';

/** Tells a person or a program how a migration goes on. */
export interface Reporter {
  changed(migration: MigrationResource): void;
  /** Something worth a line of its own while it goes on. */
  note(text: string): void;
  /** The end: `error`, when it is known better than the resource tells it, is told in place of the resource's. */
  ended(migration: MigrationResource, error: VmferryError | null): void;
  failed(error: VmferryError): void;
}

export function reporterOf(context: CliContext, json: boolean): Reporter {
  if (json) return new JsonReporter(context.stdout, context.stderr);
  if (context.stdout.isTerminal) return new TerminalReporter(context.stdout, context.stderr);
  return new PlainReporter(context.stdout, context.stderr, context.clock);
}

/** The error of a migration that did not succeed. */
function errorOf(migration: MigrationResource, known: VmferryError | null): VmferryError | null {
  if (migration.state === 'SUCCEEDED' || known !== null || migration.error === null)
    return migration.state === 'SUCCEEDED' ? null : known;
  return fromProblem(migration.error);
}

/** One live line; notes above it; the summary in its place. */
class TerminalReporter implements Reporter {
  readonly #stdout: Output;
  readonly #stderr: Output;
  readonly #line: LiveLine;

  constructor(stdout: Output, stderr: Output) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#line = new LiveLine(stdout);
  }

  changed(migration: MigrationResource): void {
    this.#line.show(progressLine(migration, this.#stdout.columns));
  }

  note(text: string): void {
    this.#line.above(`${printable(text)}\n`);
  }

  ended(migration: MigrationResource, known: VmferryError | null): void {
    this.#line.clear();
    const error = errorOf(migration, known);
    if (error !== null) this.#stderr.write(failureText(error));
    this.#stdout.write(printable(summaryText(migration)));
  }

  failed(error: VmferryError): void {
    this.#line.clear();
    this.#stderr.write(failureText(error));
  }
}

const progressEveryMs = 2_000;

/** A line for each new state and phase, and every 2 s in between. */
class PlainReporter implements Reporter {
  readonly #stdout: Output;
  readonly #stderr: Output;
  readonly #clock: Clock;
  #stage = '';
  #toldAtMs = Number.NEGATIVE_INFINITY;

  constructor(stdout: Output, stderr: Output, clock: Clock) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#clock = clock;
  }

  changed(migration: MigrationResource): void {
    // The summary says it.
    if (migration.state === 'SUCCEEDED' || migration.state === 'FAILED' || migration.state === 'CANCELLED') return;
    const stage = `${migration.state} ${migration.phase}`;
    const nowMs = this.#clock.monotonicMs();
    if (stage === this.#stage && nowMs - this.#toldAtMs < progressEveryMs) return;
    this.#stage = stage;
    this.#toldAtMs = nowMs;
    this.#stdout.write(`${printable(progressLine(migration))}\n`);
  }

  note(text: string): void {
    this.#stderr.write(`${printable(text)}\n`);
  }

  ended(migration: MigrationResource, known: VmferryError | null): void {
    const error = errorOf(migration, known);
    if (error !== null) this.#stderr.write(failureText(error));
    this.#stdout.write(printable(summaryText(migration)));
  }

  failed(error: VmferryError): void {
    this.#stderr.write(failureText(error));
  }
}

/** NDJSON: the whole resource at each change on stdout; the last line is the end. */
class JsonReporter implements Reporter {
  readonly #stdout: Output;
  readonly #stderr: Output;

  constructor(stdout: Output, stderr: Output) {
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  changed(migration: MigrationResource): void {
    this.#stdout.write(`${JSON.stringify(migration)}\n`);
  }

  note(text: string): void {
    this.#stderr.write(`${JSON.stringify({ note: text })}\n`);
  }

  ended(_: MigrationResource, known: VmferryError | null): void {
    if (known !== null) this.failed(known);
  }

  failed(error: VmferryError): void {
    this.#stderr.write(failureJson(error));
  }
}
