import {
  type BeginReply,
  displayPlace,
  forceCompleteReport,
  migrationProgress,
  migrationProtocol,
  migrationTimeouts,
  z,
} from '@vmferry/api';
import type { SourceJournal } from '@vmferry/migration';

const machineJournal = z.object({
  version: z.literal(1),
  key: z.object({ id: z.string(), nonce: z.string() }),
  stage: z.enum(['begun', 'performing', 'permitted', 'leaving', 'resuming', 'left', 'stayed', 'lost']),
  permit: z.string(),
  destination: z.object({ url: z.string(), storeId: z.string() }).nullable(),
  resumeOnRollback: z.boolean(),
  destroyIntended: z.boolean(),
  ranOn: z.boolean(),
  returnedLease: z.string().nullable(),
}) satisfies z.ZodType<SourceJournal>;

/** What the source keeps of one migration: the machine's journal, and what a restart needs to tell its story and to end it. */
export const outgoingJournal = z.object({
  version: z.literal(1),
  machine: machineJournal,
  createdAt: z.string(),
  /** Documents that do not say are of v3. */
  protocol: migrationProtocol.default('v3'),
  /** The resource was deleted; the journal stays for the hold rule's question. */
  forgotten: z.boolean(),
  finishedAt: z.string().nullable(),
  domain: z.object({ uuid: z.string(), name: z.string(), destinationName: z.string() }),
  driver: z.enum(['peer-to-peer', 'managed']),
  transport: z.enum(['direct', 'tunnelled']),
  flags: z.array(z.string()),
  /** The base URL of the destination-agent as the driver knows it; the record is asked at `machine.destination`. */
  destinationAgent: z.string().nullable(),
  destinationHost: z.string().nullable(),
  bandwidthBytesPerSec: z.number().nullable(),
  downtimeMsMax: z.number(),
  /** Absent in the journals of agents that knew of no timeouts, as the next one. */
  timeouts: migrationTimeouts.default({}),
  forceComplete: forceCompleteReport.nullable().default(null),
  /** Channels beside the main one; null for a migration that is not parallel. */
  parallelConnections: z.number().nullable().default(null),
  /** Where the clients of the display go on, from Prepare's cookie. */
  display: displayPlace.extend({ hostName: z.string() }).nullable().default(null),
  /** Begin's answer and the digest of its body, so that the same step gets the same answer after a restart too (I9). */
  begin: z.object({ digest: z.string(), cookie: z.string(), xml: z.string(), flags: z.array(z.string()) }),
  outcome: z.enum(['open', 'pending', 'committed', 'aborted', 'unknown']).nullable(),
  cancelRequested: z.object({ at: z.string(), by: z.string() }).nullable(),
  error: z.looseObject({}).nullable(),
  /** As it was at the end. */
  progress: migrationProgress.nullable(),
  phases: z.array(
    z.object({
      phase: z.enum(['begin', 'prepare', 'perform', 'finish', 'confirm']),
      side: z.enum(['source', 'destination']),
      at: z.string(),
    }),
  ),
});

export type OutgoingJournal = z.infer<typeof outgoingJournal>;

/** What Begin answers, as it was journalled. */
export function beginReplyOf({ machine, begin, domain }: OutgoingJournal): BeginReply {
  return {
    nonce: machine.key.nonce,
    cookie: begin.cookie,
    xml: begin.xml,
    flags: begin.flags,
    domain: { uuid: domain.uuid, name: domain.name },
  };
}
