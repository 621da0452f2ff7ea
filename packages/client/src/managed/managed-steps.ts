import type { BeginReply, FinishReply, MigrationTimeouts, PerformReply, PrepareReply } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { ConfirmedOutcome, Steps } from '@vmferry/migration';
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
    const { id, flags, ...rest } = request;
    return source.begin(id, { ...rest, flags: [...flags], session: sessions.source }, call);
  }

  async prepare(begun: BeginReply): Promise<PrepareReply> {
    this.#throwIfCancelled();
    const { destination, request, sessions, call } = this.#o;
    const tunnelled = begun.flags.includes('TUNNELLED');
    const body = {
      ...this.#common(begun),
      flags: destinationFlags(begun.flags),
      cookie: begun.cookie,
      xml: begun.xml,
      session: sessions.destination,
    };
    const prepared = await (tunnelled
      ? destination.prepareTunnel(request.id, body, call)
      : destination.prepare(request.id, body, call));
    if (!tunnelled && prepared.uri === null) {
      throw new VmferryError('peer-nonsense', 'Prepare did not say where the stream goes, and a direct migration needs that.');
    }
    return prepared;
  }

  perform(begun: BeginReply, prepared: PrepareReply): Promise<PerformReply> {
    this.#throwIfCancelled();
    const { source, request, call } = this.#o;
    const uri = prepared.uri === null ? {} : { uri: prepared.uri };
    return source.perform(request.id, { ...this.#common(begun), ...uri, flags: begun.flags, cookie: prepared.cookie }, call);
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

  #common(begun: BeginReply) {
    const { destinationName, bandwidthMibPerSec } = this.#o.request;
    return {
      nonce: begun.nonce,
      ...(destinationName === undefined ? {} : { destinationName }),
      ...(bandwidthMibPerSec === undefined ? {} : { bandwidthMibPerSec }),
    };
  }

  #throwIfCancelled(): void {
    if (!this.#o.isCancelled()) return;
    throw new VmferryError('migration-cancelled', `The migration ${this.#o.request.id} was cancelled by its client.`, {
      side: 'client',
    });
  }
}

function throwUnlessCommitted({ outcome, domain }: FinishReply): void {
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
