import { toProblem, type VmferryError } from '@vmferry/errors';
import type { Response } from 'express';
import type { Route, RouteAnswer } from './route.js';

/** What a client that was refused for now is told to wait. */
export const retryAfterSeconds = 1;

/** Sends a plain answer of a handler. */
export function sendAnswer(res: Response, route: Route, answer: Exclude<RouteAnswer, { sse: unknown }>): void {
  res.status(answer.status ?? route.reply.status);
  for (const [name, value] of Object.entries(answer.headers ?? {})) res.setHeader(name, value);
  if (answer.text !== undefined) {
    res.setHeader('content-type', answer.headers?.['content-type'] ?? route.reply.contentType ?? 'text/plain; charset=utf-8');
    res.end(answer.text);
    return;
  }
  if (answer.body === undefined) {
    res.end();
    return;
  }
  res.setHeader('content-type', 'application/json; charset=utf-8');
  res.end(JSON.stringify(answer.body));
}

/** Sends an error as the RFC 9457 problem document that it is. */
export function sendProblem(res: Response, error: VmferryError, requestId: string): void {
  // Its verdict is of the connection: with a better certificate the sender comes on another one.
  if (error.code === 'certificate-refused') res.setHeader('connection', 'close');
  const problem = toProblem(error, requestId);
  res.status(problem.status);
  if (problem.status === 401) res.setHeader('www-authenticate', 'Bearer');
  if (problem.status === 429 || problem.status === 503) res.setHeader('retry-after', String(retryAfterSeconds));
  res.setHeader('content-type', 'application/problem+json; charset=utf-8');
  res.end(JSON.stringify(problem));
}
