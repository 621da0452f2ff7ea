import {
  type AcknowledgeRequest,
  type BindRequest,
  type CheckPrepareReply,
  type CheckPrepareRequest,
  checkPrepareReply,
  type Finish2Request,
  type FinishReply,
  type FinishRequest,
  finishReply,
  type MigrationResource,
  migrationResource,
  type OutcomeReply,
  type OutcomeRequest,
  outcomeReply,
  type Prepare2Request,
  type PrepareReply,
  type PrepareRequest,
  prepareReply,
  type ResolveRequest,
} from '@vmferry/api';
import { nothing } from './app-client.js';
import type { CallOptions } from './caller.js';
import type { DestinationEnd } from './managed/index.js';
import { MigrationClient } from './migration-client.js';

/** The destination-agent: the destination's side of a migration. */
export class DestinationAgentClient extends MigrationClient implements DestinationEnd {
  /** All that is in the way of a Prepare; nothing happens. */
  checkPrepare(body: CheckPrepareRequest, options: CallOptions = {}): Promise<CheckPrepareReply> {
    return this.caller.call({ method: 'post', path: '/v1/migrations/check', body, reply: checkPrepareReply, ...options });
  }

  prepare(id: string, body: PrepareRequest, options: CallOptions = {}): Promise<PrepareReply> {
    return this.step(id, 'prepare', body, prepareReply, options);
  }

  prepareTunnel(id: string, body: PrepareRequest, options: CallOptions = {}): Promise<PrepareReply> {
    return this.step(id, 'prepare-tunnel', body, prepareReply, options);
  }

  prepare2(id: string, body: Prepare2Request, options: CallOptions = {}): Promise<PrepareReply> {
    return this.step(id, 'prepare2', body, prepareReply, options);
  }

  prepareTunnel2(id: string, body: Prepare2Request, options: CallOptions = {}): Promise<PrepareReply> {
    return this.step(id, 'prepare-tunnel2', body, prepareReply, options);
  }

  finish2(id: string, body: Finish2Request, options: CallOptions = {}): Promise<FinishReply> {
    return this.step(id, 'finish2', body, finishReply, options);
  }

  /** Protocol v2: the source agent says who it is, before its QEMU migrates. */
  bind(id: string, body: BindRequest, options: CallOptions = {}): Promise<OutcomeReply> {
    return this.act(id, 'bind', body, outcomeReply, options);
  }

  finish(id: string, body: FinishRequest, options: CallOptions = {}): Promise<FinishReply> {
    return this.step(id, 'finish', body, finishReply, options);
  }

  /** Reads the outcome record, or with `abortUnlessCommitted` starts the hold rule. */
  outcome(id: string, body: OutcomeRequest, options: CallOptions = {}): Promise<OutcomeReply> {
    return this.act(id, 'outcome', body, outcomeReply, options);
  }

  /** The source has acted on the record. */
  acknowledge(id: string, body: AcknowledgeRequest, options: CallOptions = {}): Promise<void> {
    return this.act(id, 'acknowledge', body, nothing, options);
  }

  /** An administrator's word about a held guest. */
  resolve(id: string, body: ResolveRequest, options: CallOptions = {}): Promise<MigrationResource> {
    return this.act(id, 'resolve', body, migrationResource, options);
  }
}
