import {
  bandwidthMibPerSec,
  cookieText,
  domainName,
  domainRef,
  domainXml,
  downtimeMs,
  flagNames,
  migrationId,
  nonce,
  parallelConnections,
  storeId,
  uuid,
} from './common.js';
import { limits } from './limits.js';
import { migrationState } from './migration.js';
import { migrationTimeouts } from './timeouts.js';
import { ipAddress, migrationUri, performUri } from './urls.js';
import { z } from './z.js';

/*
 * The five steps of protocol v3 (libvirt-protocol, A3), as sub-resources of one migration: /v1/migrations/:id/begin, perform and
 * confirm on the source-agent; prepare or prepare-tunnel, and finish on the destination-agent. The same routes serve a client
 * that manages a migration and the peer agent. Each is idempotent by (id, nonce, step).
 */

const session = uuid.optional();
/** What an agent answers is checked by its peer, which bounds it like any input. */
const word = z.string().max(limits.wordCharsMax);

export const beginRequest = z
  .strictObject({
    domain: domainRef,
    flags: flagNames.default([]),
    destinationName: domainName.optional(),
    /** S24: the wished-for target definition; refused when it would change what the guest sees. */
    xml: domainXml.optional(),
    bandwidthMibPerSec: bandwidthMibPerSec.optional(),
    downtimeMsMax: downtimeMs.optional(),
    timeouts: migrationTimeouts.optional(),
    parallelConnections: parallelConnections.optional(),
    /** The control session that the job is tied to; without one only the agents' own timers end it. */
    session,
  })
  .openapi('Begin');
export type BeginRequest = z.input<typeof beginRequest>;

export const beginReply = z
  .object({
    nonce,
    cookie: cookieText,
    xml: z.string().max(limits.bodyBytesMax),
    /** The flags with PAUSED added when the guest is paused (A3, coordinator rules). */
    flags: flagNames,
    domain: z.object({ uuid: word, name: domainRef }),
  })
  .openapi('BeginReply');
export type BeginReply = z.infer<typeof beginReply>;

const prepareFields = {
  nonce,
  flags: flagNames.default([]),
  destinationName: domainName.optional(),
  bandwidthMibPerSec: bandwidthMibPerSec.optional(),
  parallelConnections: parallelConnections.optional(),
  xml: domainXml,
  /** How the source is to reach this host for the stream (S32). */
  uri: migrationUri.optional(),
  /** The address that the stream is taken at: one that the agent, or its relay, listens on already; with `tcp:`, one for QEMU to listen on. */
  listenAddress: ipAddress.optional(),
  session,
};

export const prepareRequest = z.strictObject({ ...prepareFields, cookie: cookieText }).openapi('Prepare');
export type PrepareRequest = z.input<typeof prepareRequest>;

export const prepareReply = z
  .object({
    cookie: cookieText,
    /** Where the stream goes in direct mode; a tunnel's way is in the cookie alone. */
    uri: performUri.nullable(),
  })
  .openapi('PrepareReply');
export type PrepareReply = z.infer<typeof prepareReply>;

export const performRequest = z
  .strictObject({
    nonce,
    cookie: cookieText,
    /** S32: the stream's address in direct mode, as Prepare gave it. */
    uri: performUri.optional(),
    flags: flagNames.default([]),
    destinationName: domainName.optional(),
    bandwidthMibPerSec: bandwidthMibPerSec.optional(),
  })
  .openapi('Perform');
export type PerformRequest = z.input<typeof performRequest>;

export const performReply = z.object({ cookie: cookieText }).openapi('PerformReply');
export type PerformReply = z.infer<typeof performReply>;

export const finishRequest = z
  .strictObject({
    nonce,
    cookie: cookieText,
    flags: flagNames.default([]),
    destinationName: domainName.optional(),
    cancelled: z.boolean(),
  })
  .openapi('Finish');
export type FinishRequest = z.input<typeof finishRequest>;

export const outcomeAnswer = z.enum(['open', 'pending', 'committed', 'aborted', 'unknown']);
export type OutcomeAnswer = z.infer<typeof outcomeAnswer>;

/*
 * Protocol v2: the same migration for drivers that know no Begin and no Confirm. The driver makes the nonce; the source's cookie never
 * passes through its hands, but goes from agent to agent (`bind`), and so does the permit (`permit`).
 */

/** S21: no cookie goes in, and one that is null is no error. */
export const prepare2Request = z.strictObject({ ...prepareFields, cookie: z.null().optional() }).openapi('Prepare2');
export type Prepare2Request = z.input<typeof prepare2Request>;

export const perform2Request = z
  .strictObject({
    nonce,
    domain: domainRef,
    /** Prepare2's: it names the record and the stream. */
    cookie: cookieText,
    uri: performUri.optional(),
    flags: flagNames.default([]),
    destinationName: domainName.optional(),
    bandwidthMibPerSec: bandwidthMibPerSec.optional(),
    downtimeMsMax: downtimeMs.optional(),
    timeouts: migrationTimeouts.optional(),
    session,
  })
  .openapi('Perform2');
export type Perform2Request = z.input<typeof perform2Request>;

/** The memory is over; nothing is handed out. */
export const perform2Reply = z.object({}).openapi('Perform2Reply');
export type Perform2Reply = z.infer<typeof perform2Reply>;

export const finish2Request = z
  .strictObject({
    nonce,
    cookie: cookieText.nullish(),
    flags: flagNames.default([]),
    destinationName: domainName.optional(),
    cancelled: z.boolean(),
  })
  .openapi('Finish2');
export type Finish2Request = z.input<typeof finish2Request>;

/** POST /v1/migrations/:id/bind on the destination-agent: the source says who it is, with Begin's cookie, before it tells QEMU to migrate. */
export const bindRequest = z
  .strictObject({
    nonce,
    storeId,
    cookie: cookieText,
    /** The guest is paused on the source, and so stays paused whatever Prepare2 was told. */
    paused: z.boolean(),
  })
  .openapi('Bind');
export type BindRequest = z.input<typeof bindRequest>;

/** POST /v1/migrations/:id/permit on the source-agent: Finish2's question. */
export const permitRequest = z.strictObject({ nonce, storeId }).openapi('AskPermit');
export type PermitRequest = z.input<typeof permitRequest>;

export const permitReply = z
  .object({
    storeId,
    /** Null but from the moment it is journalled until the source has read a decision. */
    permit: word.nullable(),
  })
  .openapi('PermitReply');
export type PermitReply = z.infer<typeof permitReply>;

/** The same from the moment when the guest's interfaces were first announced there; null when they were not, or it has none. */
const announcedMsAgo = z.number().nullable().default(null);

export const finishReply = z
  .object({
    outcome: outcomeAnswer,
    cookie: cookieText,
    /** S26: present exactly when the outcome is `committed`. */
    domain: z.object({ uuid: word, name: domainRef, state: word, reason: word }).nullable(),
    /** Whether the destination host's source-agent has taken the domain over; Finish waits up to 1 s for it. */
    handover: z.enum(['done', 'pending', 'none']),
    /** Milliseconds from QEMU's RESUME on the destination to this reply, so that the source can place it on its own clock. */
    resumedMsAgo: z.number().nullable(),
    announcedMsAgo,
  })
  .openapi('FinishReply');
export type FinishReply = z.infer<typeof finishReply>;

export const confirmRequest = z
  .strictObject({ nonce, cookie: cookieText, flags: flagNames.default([]), cancelled: z.boolean() })
  .openapi('Confirm');
export type ConfirmRequest = z.input<typeof confirmRequest>;

export const confirmReply = z.object({ outcome: outcomeAnswer, state: migrationState }).openapi('ConfirmReply');
export type ConfirmReply = z.infer<typeof confirmReply>;

/** POST /v1/migrations/:id/outcome on the destination-agent: reads the record, or with `abortUnlessCommitted` starts the hold rule. */
export const outcomeRequest = z
  .strictObject({
    nonce,
    storeId,
    abortUnlessCommitted: z.boolean().default(false),
    /** Of a guest: the reply then says too whether it is on that host. */
    uuid: uuid.optional(),
  })
  .openapi('AskOutcome');
export type OutcomeRequest = z.input<typeof outcomeRequest>;

export const outcomeReply = z
  .object({
    answer: outcomeAnswer,
    storeId,
    /** The lease as given back, when the answer is `aborted`; encoded as in the cookie. */
    lockState: z.string().max(limits.cookieBase64CharsMax).nullable(),
    reason: z.string().max(limits.textCharsMax).nullable(),
    held: word.nullable(),
    resumedMsAgo: z.number().nullable(),
    announcedMsAgo,
    /** Whether a QEMU of the guest that was asked about lives on that host; null when none was, or that cannot be said. */
    guestHere: z.boolean().nullable().default(null),
  })
  .openapi('Outcome');
export type OutcomeReply = z.infer<typeof outcomeReply>;

/** POST /v1/migrations/:id/acknowledge on the destination-agent: the source has acted on the record. */
export const acknowledgeRequest = z.strictObject({ nonce, storeId }).openapi('Acknowledge');
export type AcknowledgeRequest = z.input<typeof acknowledgeRequest>;

/** POST /v1/migrations/:id/evidence on the source-agent: the hold rule's question. */
export const evidenceRequest = z.strictObject({ nonce, storeId }).openapi('AskEvidence');
export type EvidenceRequest = z.input<typeof evidenceRequest>;

export const evidenceReply = z
  .object({
    storeId,
    /** `holds`: this host's QEMU lives and has the guest, complete. `gone`: it is proven to have ended. `unknown`: no such journal. */
    guest: z.enum(['holds', 'gone', 'unknown']),
    /** Handed out only when the guest is gone and the permit was journalled, so that the destination can drive Finish. */
    permit: word.nullable(),
    /** A user destroyed the guest on the source, as journalled before the kill. */
    destroyed: z.boolean(),
    /** The guest went on running on the source after this image was taken: the image is stale. */
    ranOn: z.boolean(),
  })
  .openapi('Evidence');
export type EvidenceReply = z.infer<typeof evidenceReply>;

/** POST /v1/migrations/:id/resolve on the destination-agent: an administrator's word about a held guest, with proof about the other side. */
export const resolveRequest = z
  .strictObject({
    keep: z.enum(['source', 'destination']),
    /** What proves that the other side does not run the guest: who fenced it and how. Audited. */
    proof: z.string().min(8).max(limits.reasonCharsMax),
  })
  .openapi('Resolve');
export type ResolveRequest = z.input<typeof resolveRequest>;

/** POST /v1/adoptions on the source-agent of the destination host: a hint that a committed domain waits to be pulled. */
export const adoptionRequest = z.strictObject({ uuid, migration: z.strictObject({ id: migrationId, nonce }) }).openapi('Adopt');
export type AdoptionRequest = z.input<typeof adoptionRequest>;
export const adoptionReply = z.object({ adopted: z.boolean() }).openapi('Adopted');
export type AdoptionReply = z.infer<typeof adoptionReply>;
