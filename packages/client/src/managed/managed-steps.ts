import type { BeginReply, FinishReply, MigrationTimeouts, PerformReply, PrepareReply } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { type ConfirmedOutcome, isOffline, type Steps } from '@vmferry/migration';
import type { CallOptions } from '../caller.js';
import type { DestinationEnd, SourceEnd } from './ends.js';
import { destinationFlags } from './preconditions.js';

export interface ManagedRequest {
  /** The migration's id, which the client chooses: 1 to 64 letters, digits, `-` or `_`. */
  readonly id: string;
  /** Name or uuid. */
  readonly domain: string;
  /** Never PEER2PEER; TUNNELLED chooses the transport. */
  readonly flags: readonly string[];
  readonly destinationName?: string | undefined;
  readonly xml?: string | undefined;
  readonly bandwidthMibPerSec?: number | undefined;
  readonly downtimeMsMax?: number | undefined;
  readonly timeouts?: MigrationTimeouts | undefined;
  /** Channels beside the main one; only with PARALLEL. */
  readonly parallelConnections?: number | undefined;
  /** How the source is to reach the destination for the stream (S32). */
  readonly uri?: string | undefined;
  readonly listenAddress?: string | undefined;
}

export interface ManagedStepsOptions {
  readonly source: SourceEnd;
  readonly destination: DestinationEnd;
  readonly request: ManagedRequest;
  readonly sessions: { readonly source: string; readonly destination: string };
  readonly call: CallOptions;
  readonly isCancelled: () => boolean;
}

/** The five steps over HTTP: Begin, Perform and Confirm at the source-agent, Prepare and Finish at the destination-agent. */
export class ManagedSteps implements Steps<BeginReply, PrepareReply, PerformReply, FinishReply> {
  readonly #o: ManagedStepsOptions;

  constructor(options: ManagedStepsOptions) {
    this.#o = options;
  }

  begin(): Promise<BeginReply> {
    const { source, request, sessions, call } = this.#o;
    const { id, domain, flags, destinationName, xml, bandwidthMibPerSec, downtimeMsMax, timeouts, parallelConnections } = request;
    const limits = { bandwidthMibPerSec, downtimeMsMax, timeouts, parallelConnections };
    return source.begin(id, { domain, flags: [...flags], destinationName, xml, ...limits, session: sessions.source }, call);
  }

  async prepare(begun: BeginReply): Promise<PrepareReply> {
    throwIfCancelled(this.#o);
    const { destination, request, sessions, call } = this.#o;
    const tunnelled = begun.flags.includes('TUNNELLED');
    const body = {
      ...commonOf(request, begun.nonce),
      ...reachOf(request),
      flags: destinationFlags(begun.flags),
      cookie: begun.cookie,
      xml: begun.xml,
      session: sessions.destination,
    };
    const prepared = await (tunnelled
      ? destination.prepareTunnel(request.id, body, call)
      : destination.prepare(request.id, body, call));
    if (!isOffline(begun.flags)) throwUnlessReached(prepared, tunnelled);
    return prepared;
  }

  perform(begun: BeginReply, prepared: PrepareReply): Promise<PerformReply> {
    throwIfCancelled(this.#o);
    const { source, request, call } = this.#o;
    const uri = prepared.uri === null ? {} : { uri: prepared.uri };
    return source.perform(
      request.id,
      { ...commonOf(request, begun.nonce), ...uri, flags: begun.flags, cookie: prepared.cookie },
      call,
    );
  }

  /** Anything but `committed` is an error here when the migration was to succeed: success without a domain does not exist (S26). */
  async finish(begun: BeginReply, performed: PerformReply | null): Promise<FinishReply> {
    const { destination, request, call } = this.#o;
    const { destinationName } = request;
    const finished = await destination.finish(
      request.id,
      {
        nonce: begun.nonce,
        cookie: performed?.cookie ?? '',
        flags: destinationFlags(begun.flags),
        ...(destinationName === undefined ? {} : { destinationName }),
        cancelled: performed === null,
      },
      call,
    );
    if (performed !== null) throwUnlessCommitted(finished);
    return finished;
  }

  /** A lost reply of Finish leads here too: Confirm makes the source read the record, which alone knows (handover rule 6). */
  async confirm(begun: BeginReply, finished: FinishReply | null): Promise<ConfirmedOutcome> {
    const { source, request, call } = this.#o;
    const { outcome } = await source.confirm(
      request.id,
      { nonce: begun.nonce, cookie: finished?.cookie ?? '', flags: begun.flags, cancelled: finished?.outcome !== 'committed' },
      call,
    );
    return outcome;
  }
}

/** What Prepare and Perform of both protocols have in common. */
export function commonOf({ destinationName, bandwidthMibPerSec }: ManagedRequest, nonce: string) {
  return {
    nonce,
    ...(destinationName === undefined ? {} : { destinationName }),
    ...(bandwidthMibPerSec === undefined ? {} : { bandwidthMibPerSec }),
  };
}

/** Prepare's alone. */
export function reachOf({ uri, listenAddress, parallelConnections }: ManagedRequest) {
  return {
    ...(uri === undefined ? {} : { uri }),
    ...(listenAddress === undefined ? {} : { listenAddress }),
    ...(parallelConnections === undefined ? {} : { parallelConnections }),
  };
}

export function throwIfCancelled({ isCancelled, request }: ManagedStepsOptions): void {
  if (!isCancelled()) return;
  throw new VmferryError('migration-cancelled', `The migration ${request.id} was cancelled by its client.`, { side: 'client' });
}

export function throwUnlessReached({ uri }: PrepareReply, tunnelled: boolean): void {
  if (tunnelled || uri !== null) return;
  throw new VmferryError('peer-nonsense', 'Prepare did not say where the stream goes, and a direct migration needs that.');
}

export function throwUnlessCommitted({ outcome, domain }: FinishReply): void {
  switch (outcome) {
    case 'committed':
      if (domain !== null) return;
      throw new VmferryError('peer-nonsense', 'Finish said `committed` and named no domain.');
    case 'aborted':
      throw new VmferryError('migration-aborted', 'The destination aborted the migration in Finish.');
    case 'open':
    case 'pending':
    case 'unknown':
      throw new VmferryError('migration-undecided', `Finish ended with the outcome record ${outcome}.`);
  }
}
