import type { IncomingMessage } from 'node:http';
import { limits, type z } from '@vmferry/api';
import { clipped, VmferryError } from '@vmferry/errors';
import express from 'express';
import type { Route } from './route.js';

/** Of the text of one fault: what a caller sends is not sent back to it. */
const faultCharsMax = 200;

/** Checks one part of a request against its schema; the first 32 faults are told with their paths (`/body/flags/0`). */
export function checked(schema: z.ZodType | undefined, where: 'params' | 'query' | 'body', value: unknown): unknown {
  if (schema === undefined) return undefined;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.slice(0, 32).map((issue) => ({
    path: ['', where, ...issue.path.map(String)].join('/'),
    code: issue.code,
    detail: clipped(issue.message, faultCharsMax),
  }));
  const first = errors[0];
  throw new VmferryError('invalid-argument', `${first?.path ?? where}: ${first?.detail ?? 'is not accepted'}`, { errors });
}

/** Reads the JSON body of a route within its limit. Authentication comes before it: a stranger's bytes are not parsed. */
export function bodyReader(route: Route): express.RequestHandler {
  const parse = express.json({
    limit: route.bodyBytesMax ?? limits.bodyBytesMax,
    inflate: false,
    type: () => true,
    // `null` and "text" are JSON too: the schema says what is wrong with them.
    strict: false,
    reviver: refuseObjectMachinery,
  });
  return (req, res, next) => {
    if (!hasBody(req)) {
      req.body = {};
      next();
      return;
    }
    if (route.body === undefined) {
      throw new VmferryError('malformed-request', `${req.method} ${req.path} takes no body; send none.`);
    }
    if (req.is('application/json') === false) {
      const given = req.headers['content-type'] ?? 'none';
      throw new VmferryError('unsupported-media-type', `The body must be application/json; the content type was ${given}.`);
    }
    parse(req, res, next);
  };
}

function hasBody(req: IncomingMessage): boolean {
  return req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
}

/** JSON.parse makes an own property of `__proto__`, which a later copy would turn into a prototype (threats, row 16). */
function refuseObjectMachinery(key: string, value: unknown): unknown {
  if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
    // The parser turns whatever is thrown here into a parse failure and keeps the message alone.
    throw new Error(`it has a key "${key}", which no request of this API has`);
  }
  return value;
}

/** `Prefer: wait=N` (RFC 7240), clamped to the bound; anything else in the header is a preference this API does not have. */
export function waitSecondsOf(prefer: string | undefined): number | undefined {
  const match = /(?:^|,)\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:$|[,;])/i.exec(prefer ?? '');
  return match === null ? undefined : Math.min(Number(match[1]), limits.waitSecondsMax);
}

/** The caller's X-Request-Id when it is plain enough for a log line and a header, else a new one. */
export function requestIdOf(header: string | string[] | undefined, fresh: () => string): string {
  return typeof header === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(header) ? header : fresh();
}
