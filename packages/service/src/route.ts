import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { z } from '@vmferry/api';
import type { ErrorCode } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';
import type { PeerCertificate } from '@vmferry/tls';
import type { Log } from './log.js';
import type { Permission, Principal } from './permission.js';
import type { Subscribable } from './publisher.js';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** What a handler is given: checked input, who asks, and how long it may take. */
export interface RouteContext<P = unknown, Q = unknown, B = unknown> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly principal: Principal;
  readonly requestId: string;
  /** `Prefer: wait=N`, in seconds, bounded by `limits.waitSecondsMax`; undefined when the caller did not say. */
  readonly waitSeconds: number | undefined;
  /** Aborted when the client is gone before its answer. A step must not be tied to it: it goes on and its answer is recorded. */
  readonly signal: AbortSignal;
  /** Aborted when the service drains, so that whoever only waits answers at once. */
  readonly draining: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
  header(name: string): string | undefined;
  /** Says more of this call in its audit record: the path by uuid where the caller gave a name, or what a body asks for. */
  readonly tell: (facts: ToldOfCall) => void;
}

export interface ToldOfCall {
  readonly path?: string;
  /** Stands behind the outcome; '' for nothing. */
  readonly what?: string;
}

/** An answer with a JSON body, or a live stream of a publisher's events. `text` is for the few routes that do not speak JSON. */
export type RouteAnswer<R = unknown> =
  | { readonly status?: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: R; readonly text?: string }
  /** `after` stands for a Last-Event-ID that the client did not send. */
  | { readonly sse: Subscribable<R>; readonly after?: number | undefined };

export interface RouteReply<R extends z.ZodType = z.ZodType> {
  readonly status: 200 | 201 | 202 | 204;
  readonly schema?: R;
  /** The handler may answer 202 with a Location instead, see `answerWithin`. */
  readonly orAccepted?: true;
  /** Set for what is not JSON: `text/event-stream`, `text/html`. */
  readonly contentType?: string;
}

/**
 * One row of the registry: schema, permission, replies, problems and handler of a route. It feeds express, /openapi.json and the
 * tests alike. `path` is in the syntax of express 5 (`/v1/domains/:domain/start`).
 */
export interface RouteDefinition<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType> {
  readonly method: Method;
  readonly path: string;
  readonly summary: string;
  readonly permission: Permission | 'public';
  readonly params?: P;
  readonly query?: Q;
  /** A route with a body schema reads `application/json`; a missing body is read as `{}`. Without a schema a body is refused. */
  readonly body?: B;
  readonly reply: RouteReply<R>;
  /** The codes that its handler answers; those that any route may answer (`commonProblems`) are not repeated. */
  readonly problems: readonly ErrorCode[];
  /** It acts on what runs already, and is answered while the service drains; so is every GET. */
  readonly whileDraining?: true;
  /**
   * False for a call that is no GET and changes nothing; or tells by its body whether it does. What changes something is audited with principal and
   * request id, the refused call too, from the moment that its input is found to be in order.
   */
  readonly changes?: false | ((body: z.output<B>) => boolean);
  /** Default `limits.bodyBytesMax`. */
  readonly bodyBytesMax?: number;
  handler(ctx: RouteContext<z.output<P>, z.output<Q>, z.output<B>>): Promise<RouteAnswer<z.input<R>>> | RouteAnswer<z.input<R>>;
}

/** A route whose types are forgotten, as the registry keeps it. */
export interface Route extends Omit<RouteDefinition<z.ZodType, z.ZodType, z.ZodType, z.ZodType>, 'handler' | 'changes'> {
  /** Of a body that its schema has parsed. */
  changes(body: unknown): boolean;
  handler(ctx: RouteContext): Promise<RouteAnswer>;
}

export function defineRoute<
  P extends z.ZodType = z.ZodUndefined,
  Q extends z.ZodType = z.ZodUndefined,
  B extends z.ZodType = z.ZodUndefined,
  R extends z.ZodType = z.ZodUndefined,
>(definition: RouteDefinition<P, Q, B, R>): Route {
  const { changes = definition.method !== 'get' } = definition;
  return {
    ...definition,
    changes: (body) => (typeof changes === 'function' ? changes(body as z.output<B>) : changes),
    // The service parses params, query and body with the schemas of this very definition before it calls the handler.
    handler: async (ctx) => definition.handler(ctx as RouteContext<z.output<P>, z.output<Q>, z.output<B>>),
  };
}

export interface UpgradeContext {
  readonly params: Readonly<Record<string, string>>;
  readonly request: IncomingMessage;
  /** Reading is stopped on it since the upgrade arrived; Node sees no end of it either (toolchain, Descriptors). */
  readonly socket: Socket;
  /** What the client sent behind its request; it belongs to the stream and goes first. */
  readonly head: Buffer;
  /** Over TLS, who is there; the handler says which role may. */
  readonly certificate: PeerCertificate | null;
  readonly requestId: string;
  readonly log: Log;
}

/**
 * An HTTP upgrade. It is public to the service: the one-time ticket in its header is what admits it, and the handler checks that.
 * The handler answers with `acceptUpgrade`, or throws a VmferryError that becomes the answer. It then takes the
 * connection away from Node (`detachSocket` of @vmferry/posix), or owns the socket until its end: Node, which does not read it, never sees that end.
 */
export interface UpgradeRoute {
  readonly path: string;
  readonly summary: string;
  readonly protocol: string;
  readonly problems: readonly ErrorCode[];
  handler(ctx: UpgradeContext): Promise<void>;
}

/** What any route may answer. */
export const commonProblems: readonly ErrorCode[] = [
  'malformed-request',
  'invalid-argument',
  'unauthenticated',
  'forbidden',
  'not-found',
  'method-not-allowed',
  'body-too-large',
  'unsupported-media-type',
  'draining',
  'internal',
];
