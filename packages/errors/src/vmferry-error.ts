import { clipped, errorLimits } from './bounds.js';
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
 * use `code`. The cause stays private: it is for the log, never for a reply. Texts and counts above `errorLimits` are cut, with a mark.
 */
export class VmferryError extends Error {
  override readonly name = 'VmferryError';
  readonly code: ErrorCode;
  readonly place: ErrorPlace;
  readonly errors: readonly FieldFault[];
  readonly data: Readonly<Record<string, unknown>>;
  readonly suppressed: SuppressedError[] = [];

  constructor(code: ErrorCode, detail: string, facts: ErrorFacts = {}) {
    super(clipped(detail, errorLimits.detailCharsMax), facts.cause === undefined ? {} : { cause: facts.cause });
    this.code = code;
    this.place = {
      ...(facts.side === undefined ? {} : { side: facts.side }),
      ...(facts.phase === undefined ? {} : { phase: facts.phase }),
    };
    this.errors = (facts.errors ?? []).slice(0, errorLimits.entriesMax).map(boundedFault);
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

  /** Keeps `later` beside this error, up to 32 of them; the first error stays the error (S27). */
  suppress(later: unknown, at: Date, place: ErrorPlace = {}): this {
    const error = VmferryError.from(later).at(place);
    const own = { ...error.place, code: error.code, detail: error.message, at: at.toISOString() };
    this.suppressed.push(...[own, ...error.suppressed].slice(0, errorLimits.entriesMax - this.suppressed.length));
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

const boundedFault = ({ path, code, detail }: FieldFault): FieldFault => ({
  path: clipped(path, errorLimits.pathCharsMax),
  code: clipped(code, errorLimits.wordCharsMax),
  detail: clipped(detail, errorLimits.faultCharsMax),
});
