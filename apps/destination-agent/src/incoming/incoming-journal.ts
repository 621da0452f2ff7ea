import { migrationProtocol, z } from '@vmferry/api';
import { isOffline, type OutcomeRecord } from '@vmferry/migration';

const outcomeRecord = z.object({
  version: z.literal(1),
  key: z.object({ id: z.string(), nonce: z.string() }),
  decision: z.enum(['open', 'committing', 'committed', 'aborted', 'unknown']),
  mode: z.enum(['run', 'paused']),
  permitDigest: z.string(),
  source: z.object({ url: z.string(), storeId: z.string(), hostName: z.string(), hostUuid: z.string() }),
  lease: z.string().nullable(),
  reason: z.string().nullable(),
}) satisfies z.ZodType<OutcomeRecord>;

/**
 * What the destination keeps of one migration, in one document, so that one durable write is one step of the record. A tombstone
 * (`domain` is null) stands for a key that was asked about and never prepared here: its late Prepare is refused.
 */
export const incomingJournal = z.object({
  version: z.literal(1),
  record: outcomeRecord,
  createdAt: z.string(),
  /** Documents that do not say are of v3. */
  protocol: migrationProtocol.default('v3'),
  domain: z
    .object({
      uuid: z.string(),
      name: z.string(),
      sourceName: z.string(),
      xml: z.string(),
      /** PERSIST_DEST, or a configuration of this domain was already here. */
      persist: z.boolean(),
    })
    .nullable(),
  /** The configuration that was here before ours was to take its place; null when ours never was. */
  configBefore: z.object({ xml: z.string().nullable() }).nullable().default(null),
  transport: z.enum(['direct', 'tunnelled']),
  driver: z.enum(['peer-to-peer', 'managed']),
  flags: z.array(z.string()),
  /** The cookie that Prepare answered, so that the same step gets the same answer after a restart too. */
  prepareAnswer: z.object({ cookie: z.string(), uri: z.string().nullable() }).nullable(),
  /** The digest of Prepare's body (I9). */
  prepareDigest: z.string().nullable(),
  /** What follows a final decision is done: configuration kept, domain handed over, or everything given back. */
  concluded: z.boolean(),
  /** The source has acted on the record. */
  acknowledged: z.boolean(),
  finishedAt: z.string().nullable(),
});

export type IncomingJournal = z.infer<typeof incomingJournal>;

/**
 * Whether the definition is this host's, by its record, so that its note of arrival stays until the source-agent of this host knows the
 * definition: after a restart of either agent that is how it is seen that this is still to come.
 */
export function hasArrivedOffline({ flags, record }: Pick<IncomingJournal, 'flags' | 'record'>): boolean {
  return isOffline(flags) && record.decision === 'committed';
}
