import { type ErrorCode, errorCodes } from './codes.js';
import { type FieldFault, type SuppressedError, VmferryError } from './vmferry-error.js';

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

/** The error a problem document tells of; an unknown code becomes `peer-nonsense`. */
export function fromProblem(problem: Partial<Problem>): VmferryError {
  const known = problem.code !== undefined && Object.hasOwn(errorCodes, problem.code);
  const code: ErrorCode = known && problem.code !== undefined ? problem.code : 'peer-nonsense';
  const error = new VmferryError(code, problem.detail ?? problem.title ?? 'The peer gave no detail.', {
    ...(isSide(problem.side) ? { side: problem.side } : {}),
    ...(isPhase(problem.phase) ? { phase: problem.phase } : {}),
    ...(problem.errors === undefined ? {} : { errors: problem.errors }),
    ...(problem.data === undefined ? {} : { data: problem.data }),
  });
  error.suppressed.push(...(problem.suppressed ?? []));
  return error;
}

type Side = 'source' | 'destination' | 'relay' | 'client';
type Phase = 'begin' | 'prepare' | 'perform' | 'finish' | 'confirm';

function isSide(side: unknown): side is Side {
  return side === 'source' || side === 'destination' || side === 'relay' || side === 'client';
}

function isPhase(phase: unknown): phase is Phase {
  return phase === 'begin' || phase === 'prepare' || phase === 'perform' || phase === 'finish' || phase === 'confirm';
}
