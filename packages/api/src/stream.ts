import { bandwidthMibPerSec, migrationId, parallelConnections, timestamp, uuid } from './common.js';
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
/** The request header that says which channel of a family is attached, from 0, the main one; only for a family. */
export const channelHeader = 'x-vmferry-channel';

/**
 * POST /v1/streams on a relay. `destination`: waits for the peer relay, which must bring the ticket that the reply holds.
 * `source`: connects to the peer at once with the peer's ticket; 201 means that the peer accepted. `bandwidthMibPerSec` caps what this
 * relay moves in each direction; the return path has its own share. With `channels` it is a family (QEMU's multifd): so many streams beside the main
 * one, under one ticket, that end as failed when one of them does; the cap is of each.
 */
export const createStream = z
  .discriminatedUnion('role', [
    z.strictObject({
      role: z.literal('destination'),
      migrationId,
      expiresSeconds: z.int().min(1).max(3_600).default(60),
      bandwidthMibPerSec: bandwidthMibPerSec.optional(),
      channels: parallelConnections.optional(),
    }),
    z.strictObject({
      role: z.literal('source'),
      migrationId,
      peer: z.strictObject({ url: streamUri, ticket }),
      bandwidthMibPerSec: bandwidthMibPerSec.optional(),
      channels: parallelConnections.optional(),
    }),
  ])
  .openapi('CreateStream');
export type CreateStream = z.input<typeof createStream>;

/** PATCH /v1/streams/:id on a relay, while the stream is open; null lifts the cap. */
export const changeStream = z.strictObject({ bandwidthMibPerSec: bandwidthMibPerSec.nullable() }).openapi('ChangeStream');
export type ChangeStream = z.input<typeof changeStream>;

export const streamState = z.enum(['waiting', 'attached', 'streaming', 'closed', 'failed']);

export const streamPath = z.enum(['splice', 'streams', 'tls']);

export const streamResource = z
  .object({
    id: uuid,
    migrationId,
    role: z.enum(['source', 'destination']),
    state: streamState,
    /** The id of the main stream of its family, and which channel it is, from 0, the main one; null for a stream by itself. */
    family: uuid.nullable().default(null),
    channel: z.int().nullable().default(null),
    /**
     * A unix socket that takes one connection: QEMU's end, handed over by the agent. Gone once it is connected. Of a family it takes a connection over
     * which the relay calls for that end.
     */
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
    /** By which of the kernel's algorithms it sends to its peer, `bbr` or `cubic` for two; null before they are connected. */
    congestionControl: z.string().max(limits.nameCharsMax).nullable(),
    bytesToPeer: z.int(),
    bytesFromPeer: z.int(),
    /** Over the last second, see the relay's README; 0 unless it streams. */
    toPeerBytesPerSec: z.int(),
    fromPeerBytesPerSec: z.int(),
    /** The stream's own cap in each direction; the relay may have one for all of its streams. */
    bandwidthMibPerSec: z.int().nullable(),
    spliceCalls: z.int(),
    /** How often a receiver took nothing while bytes for it waited. */
    stalls: z.int(),
    msSinceLastByte: z.int().nullable(),
    /** Why a stream failed, in words. */
    reason: z.string().max(limits.textCharsMax).nullable(),
    createdAt: timestamp,
    closedAt: timestamp.nullable(),
  })
  .openapi('Stream');
export type StreamResource = z.infer<typeof streamResource>;

/** What a creation answers: of a family the main stream, with the further ones in their order. */
export const createdStream = streamResource
  .extend({ channels: z.array(streamResource).max(limits.parallelConnectionsMax).default([]) })
  .openapi('CreatedStream');
export type CreatedStream = z.infer<typeof createdStream>;

export const streamList = z.object({ streams: z.array(streamResource) }).openapi('StreamList');
