import { type CodeRow, type ErrorCode, errorCodes } from './codes.js';

/** Where in a migration an error arose; both are set by whoever knows. */
export interface ErrorPlace {
  readonly side?: 'source' | 'destination' | 'relay' | 'client';
  readonly phase?: 'begin' | 'prepare' | 'perform' | 'finish' | 'confirm';
}

/** One fault inside a body: the path within it (`/flags/0`), a code and what is wrong there. */
export interface FieldFault {
  readonly path: string;
  readonly code: string;
  readonly detail: string;
}

export interface ErrorFacts extends ErrorPlace {
  readonly cause?: unknown;
  readonly errors?: readonly FieldFault[];
  /** Facts for a program: numbers, names, the QMP class. Never a secret. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/** A later error, kept beside the first one (S27, I8). */
export interface SuppressedError extends ErrorPlace {
  readonly code: ErrorCode;
  readonly detail: string;
  /** RFC 3339, UTC. */
  readonly at: string;
}

/**
 * The only error class of vmferry. `detail` names what, where and what to do, in one or two sentences for a person; programs
 * use `code`. The cause stays private: it is for the log, never for a reply.
 */
export class VmferryError extends Error {
  override readonly name = 'VmferryError';
  readonly code: ErrorCode;
  readonly place: ErrorPlace;
  readonly errors: readonly FieldFault[];
  readonly data: Readonly<Record<string, unknown>>;
  readonly suppressed: SuppressedError[] = [];

  constructor(code: ErrorCode, detail: string, facts: ErrorFacts = {}) {
    super(detail, facts.cause === undefined ? {} : { cause: facts.cause });
    this.code = code;
    this.place = {
      ...(facts.side === undefined ? {} : { side: facts.side }),
      ...(facts.phase === undefined ? {} : { phase: facts.phase }),
    };
    this.errors = facts.errors ?? [];
    this.data = facts.data ?? {};
  }

  get row(): CodeRow {
    return errorCodes[this.code];
  }

  /** The same error with its place filled in where it was not known before. */
  at(place: ErrorPlace): VmferryError {
    const moved = new VmferryError(this.code, this.message, {
      ...place,
      ...this.place,
      cause: this.cause,
      errors: this.errors,
      data: this.data,
    });
    moved.suppressed.push(...this.suppressed);
    return moved;
  }

  /** Keeps `later` beside this error; the first error stays the error (S27). */
  suppress(later: unknown, at: Date, place: ErrorPlace = {}): this {
    const error = VmferryError.from(later).at(place);
    this.suppressed.push({ ...error.place, code: error.code, detail: error.message, at: at.toISOString() });
    this.suppressed.push(...error.suppressed);
    return this;
  }

  /** Anything thrown, as a VmferryError: itself, or `fallback` with the thrown thing as its cause. */
  static from(thrown: unknown, fallback: ErrorCode = 'internal'): VmferryError {
    if (thrown instanceof VmferryError) return thrown;
    const detail = thrown instanceof Error ? thrown.message : String(thrown);
    return new VmferryError(fallback, detail, { cause: thrown });
  }

  static is(thrown: unknown, code: ErrorCode): thrown is VmferryError {
    return thrown instanceof VmferryError && thrown.code === code;
  }
}
