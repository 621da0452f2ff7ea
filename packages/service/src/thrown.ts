import { VmferryError } from '@vmferry/errors';
import { wordsOf } from './loggable.js';

/** Anything that express, its body parser or a handler threw, as the error that the caller may read. */
export function errorOf(thrown: unknown): VmferryError {
  if (thrown instanceof VmferryError) return thrown;
  const { type, status } = httpErrorFacts(thrown);
  switch (type) {
    case 'entity.parse.failed':
      return new VmferryError('malformed-request', `The body cannot be read as JSON: ${messageOf(thrown)}`, { cause: thrown });
    case 'entity.too.large':
      return new VmferryError('body-too-large', 'The body is larger than this route reads.', { cause: thrown });
    case 'charset.unsupported':
    case 'encoding.unsupported':
      return new VmferryError('unsupported-media-type', 'The body must be plain UTF-8 JSON, not compressed.', { cause: thrown });
    case 'request.aborted':
    case 'request.size.invalid':
      return new VmferryError('malformed-request', 'The body ended before its announced length.', { cause: thrown });
    default:
      if (status === 400) return new VmferryError('malformed-request', messageOf(thrown), { cause: thrown });
      // What went wrong inside stays in the log; the request id leads there.
      return new VmferryError('internal', 'The request failed by a defect; the log of the service has it under the request id.', {
        cause: thrown,
      });
  }
}

function httpErrorFacts(thrown: unknown): { type: unknown; status: unknown } {
  if (typeof thrown !== 'object' || thrown === null) return { type: undefined, status: undefined };
  return { type: 'type' in thrown ? thrown.type : undefined, status: 'status' in thrown ? thrown.status : undefined };
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? wordsOf(thrown).slice(0, 300) : String(thrown).slice(0, 300);
}
