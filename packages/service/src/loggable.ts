import { inspect } from 'node:util';
import { VmferryError } from '@vmferry/errors';

const stringCharsMax = 2_048;
const entriesMax = 64;
const depthMax = 6;
const causesMax = 5;

/** Keys whose values never reach a log, whatever they are spelled around (`xCookie`, `ticketHeader`). How long one is may be told (`cookieBytes`). */
const secretKey = /cookie|ticket|permit|passw|secret|token|authorization|credential/i;
const lengthKey = /Bytes$/;
/** In whatever text one stands, and whether it is whole or not: a certificate is logged by its path or its subject. */
const privateKey = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g;

/** A copy of any value that is fit for a log line: bounded in depth, count and length, without secrets, errors told in full. */
export function loggable(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case 'string':
      return capped(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
    case 'undefined':
      return value;
    case 'bigint':
    case 'symbol':
      return String(value);
    case 'function':
      return '[function]';
    case 'object':
      return value === null ? null : loggableObject(value, depth);
  }
}

function loggableObject(value: object, depth: number): unknown {
  if (depth >= depthMax) return '[deeper]';
  if (value instanceof Error) return loggableError(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) {
    const shown = value.slice(0, entriesMax).map((item) => loggable(item, depth + 1));
    return value.length > entriesMax ? [...shown, `[${value.length - entriesMax} more]`] : shown;
  }
  const entries = Object.entries(value).slice(0, entriesMax);
  return Object.fromEntries(
    entries.map(([key, item]) => [capped(key), isSecret(key, item) ? '[redacted]' : loggable(item, depth + 1)]),
  );
}

function isSecret(key: string, value: unknown): boolean {
  return secretKey.test(key) && !(lengthKey.test(key) && typeof value === 'number');
}

/** winston's own `errors({cause})` prints `cause: {}`; this tells code, place, the chain of causes and what was suppressed. */
function loggableError(error: Error, depth: number): Record<string, unknown> {
  const told: Record<string, unknown> = { name: error.name, detail: capped(wordsOf(error)) };
  if (error instanceof VmferryError) {
    told.code = error.code;
    Object.assign(told, error.place);
    if (error.errors.length > 0) told.errors = loggable(error.errors, depth + 1);
    if (Object.keys(error.data).length > 0) told.data = loggable(error.data, depth + 1);
    if (error.suppressed.length > 0) told.suppressed = loggable(error.suppressed, depth + 1);
  } else if (error.stack !== undefined) {
    told.stack = capped(error.stack.replace(error.message, () => wordsOf(error)));
  }
  const causes = causesOf(error);
  if (causes.length > 0) told.causes = causes;
  return told;
}

function causesOf(error: Error): string[] {
  const causes: string[] = [];
  for (let cause = error.cause; cause !== undefined && causes.length < causesMax; ) {
    causes.push(capped(cause instanceof Error ? `${cause.name}: ${wordsOf(cause)}` : inspect(cause, { depth: 1 })));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}

/** The message of an error. V8's of broken JSON cites what stands around the fault, which may be anything, and is told without that. */
export function wordsOf(error: Error): string {
  return error instanceof SyntaxError ? error.message.replace(/(\.\.\.)?".*"(\.\.\.)?/s, '[left out]') : error.message;
}

function capped(whole: string): string {
  const text = whole.includes('PRIVATE KEY') ? whole.replace(privateKey, '[redacted]') : whole;
  return text.length <= stringCharsMax ? text : `${text.slice(0, stringCharsMax)}... [${text.length} characters]`;
}
