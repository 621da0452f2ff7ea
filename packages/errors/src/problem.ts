import { boundedData, clipped, errorLimits, isRecord } from './bounds.js';
import { type ErrorCode, errorCodes } from './codes.js';
import { type ErrorPlace, type FieldFault, type SuppressedError, VmferryError } from './vmferry-error.js';

/** RFC 9457 problem document; `type` is a path that every app serves as a page. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly libvirtCode: number;
  readonly side?: string;
  readonly phase?: string;
  readonly requestId?: string;
  readonly errors?: readonly FieldFault[];
  readonly data?: Readonly<Record<string, unknown>>;
  readonly suppressed?: readonly SuppressedError[];
}

/** What a reply may say of an error. The cause and the stack stay behind. */
export function toProblem(error: VmferryError, requestId?: string): Problem {
  const { status, title, retryable, libvirt } = error.row;
  return {
    type: `/problems/${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    retryable,
    libvirtCode: libvirt,
    ...error.place,
    ...(requestId === undefined ? {} : { requestId }),
    ...(error.errors.length === 0 ? {} : { errors: error.errors }),
    ...(Object.keys(error.data).length === 0 ? {} : { data: error.data }),
    ...(error.suppressed.length === 0 ? {} : { suppressed: error.suppressed }),
  };
}

/**
 * The error a problem document tells of; an unknown code becomes `peer-nonsense`. Nothing in the document is taken for granted: a field
 * of another type is as one that is not there, and what goes over `errorLimits` is cut.
 */
export function fromProblem(problem: Partial<Record<keyof Problem, unknown>>): VmferryError {
  const detail = text(problem.detail) ?? text(problem.title) ?? 'The peer gave no detail.';
  const error = new VmferryError(isCode(problem.code) ? problem.code : 'peer-nonsense', detail, {
    ...placeOf(problem),
    errors: entriesOf(problem.errors, faultOf),
    data: boundedData(problem.data),
  });
  error.suppressed.push(...entriesOf(problem.suppressed, suppressedOf));
  return error;
}

function entriesOf<T>(value: unknown, read: (entry: Record<string, unknown>) => T | null): T[] {
  if (!Array.isArray(value)) return [];
  const entries = value.slice(0, errorLimits.entriesMax).map((entry) => (isRecord(entry) ? read(entry) : null));
  return entries.filter((entry) => entry !== null);
}

function faultOf({ path, code, detail }: Record<string, unknown>): FieldFault | null {
  return typeof path === 'string' && typeof code === 'string' && typeof detail === 'string' ? { path, code, detail } : null;
}

function suppressedOf(entry: Record<string, unknown>): SuppressedError | null {
  const { code, detail, at } = entry;
  if (typeof detail !== 'string' || typeof at !== 'string') return null;
  return {
    ...placeOf(entry),
    code: isCode(code) ? code : 'peer-nonsense',
    detail: clipped(detail, errorLimits.detailCharsMax),
    at: clipped(at, errorLimits.wordCharsMax),
  };
}

function placeOf({ side, phase }: { readonly side?: unknown; readonly phase?: unknown }): ErrorPlace {
  return { ...(isSide(side) ? { side } : {}), ...(isPhase(phase) ? { phase } : {}) };
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

const isCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(errorCodes, code);

type Side = 'source' | 'destination' | 'relay' | 'client';
type Phase = 'begin' | 'prepare' | 'perform' | 'finish' | 'confirm';

function isSide(side: unknown): side is Side {
  return side === 'source' || side === 'destination' || side === 'relay' || side === 'client';
}

function isPhase(phase: unknown): phase is Phase {
  return phase === 'begin' || phase === 'prepare' || phase === 'perform' || phase === 'finish' || phase === 'confirm';
}
