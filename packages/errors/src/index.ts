export { clipped, errorLimits } from './bounds.js';
export { type CodeRow, type ErrorCode, errorCodes } from './codes.js';
export { Findings } from './findings.js';
export { fromProblem, type Problem, toProblem } from './problem.js';
export { type ErrorFacts, type ErrorPlace, type FieldFault, type SuppressedError, VmferryError } from './vmferry-error.js';
