import { migrationId, timestamp, uuid } from './common.js';
import { limits } from './limits.js';
import { streamUri } from './urls.js';
import { z } from './z.js';

export const ticket = z
  .string()
  .min(32)
  .max(limits.ticketCharsMax)
  .regex(/^[A-Za-z0-9_-]+$/);

/** The token of the HTTP upgrade that begins a migration stream, at a relay and at a destination-agent alike. */
export const streamProtocol = 'vmferry-stream-1';
/** The request header that carries the one-time ticket; it is never in a URL (threats, row 5). */
export const ticketHeader = 'x-vmferry-ticket';
/** The request header that names the migration which the ticket is bound to. */
export const migrationHeader = 'x-vmferry-migration';

/**
 * POST /v1/streams on a relay. `destination`: waits for the peer relay, which must bring the ticket that the reply holds.
 * `source`: connects to the peer at once with the peer's ticket; 201 means that the peer accepted.
 */
export const createStream = z
  .discriminatedUnion('role', [
    z.strictObject({ role: z.literal('destination'), migrationId, expiresSeconds: z.int().min(1).max(3_600).default(60) }),
    z.strictObject({ role: z.literal('source'), migrationId, peer: z.strictObject({ url: streamUri, ticket }) }),
  ])
  .openapi('CreateStream');
export type CreateStream = z.input<typeof createStream>;

export const streamState = z.enum(['waiting', 'attached', 'streaming', 'closed', 'failed']);

export const streamPath = z.enum(['splice', 'streams', 'tls']);

export const streamResource = z
  .object({
    id: uuid,
    migrationId,
    role: z.enum(['source', 'destination']),
    state: streamState,
    /** A unix socket that takes one connection: QEMU's end, handed over by the agent. Gone once it is connected. */
    localSocket: z.string().max(limits.socketPathCharsMax).nullable(),
    /** Where the peer relay attaches (`destination` only). */
    attachUrl: z.string().max(limits.urlCharsMax).nullable(),
    /** Shown once, in the reply to the creation of a `destination` stream. */
    ticket: ticket.nullable(),
    /**
     * How its bytes are moved: `splice` inside the kernel, `streams` by Node where the kernel does not splice these sockets, `tls` encrypted to the peer; null before it
     * streams.
     */
    path: streamPath.nullable(),
    bytesToPeer: z.int(),
    bytesFromPeer: z.int(),
    spliceCalls: z.int(),
    stalls: z.int(),
    msSinceLastByte: z.int().nullable(),
    /** Why a stream failed, in words. */
    reason: z.string().max(limits.textCharsMax).nullable(),
    createdAt: timestamp,
    closedAt: timestamp.nullable(),
  })
  .openapi('Stream');
export type StreamResource = z.infer<typeof streamResource>;

export const streamList = z.object({ streams: z.array(streamResource) }).openapi('StreamList');
