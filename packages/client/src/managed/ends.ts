import type {
  BeginReply,
  BeginRequest,
  ConfirmReply,
  ConfirmRequest,
  CreateSession,
  DomainResource,
  DomainXmlDocument,
  Finish2Request,
  FinishReply,
  FinishRequest,
  MigrationResource,
  Perform2Reply,
  Perform2Request,
  PerformReply,
  PerformRequest,
  Prepare2Request,
  PrepareReply,
  PrepareRequest,
  SessionResource,
  VersionReply,
} from '@vmferry/api';
import type { CallOptions } from '../caller.js';
import type { MigrationWait } from '../migration-client.js';

/** What any agent does for whoever drives a migration: it says what it speaks and holds a control session. */
export interface SessionEnd {
  version(options?: CallOptions): Promise<VersionReply>;
  createSession(body: CreateSession, options?: CallOptions): Promise<SessionResource>;
  renewSession(session: string, options?: CallOptions): Promise<SessionResource>;
  endSession(session: string, options?: CallOptions): Promise<void>;
}

/** The source's steps. `perform` returns when the step is over, however long it lasts: the client repeats it after each 202. */
export interface SourceEnd extends SessionEnd {
  begin(id: string, body: BeginRequest, options?: CallOptions): Promise<BeginReply>;
  perform(id: string, body: PerformRequest, options?: CallOptions): Promise<PerformReply>;
  confirm(id: string, body: ConfirmRequest, options?: CallOptions): Promise<ConfirmReply>;
  cancelMigration(id: string, options?: CallOptions): Promise<MigrationResource>;
  /** What a driver of v2 takes instead of Begin and Confirm, and its one step. */
  domain(domain: string, options?: CallOptions): Promise<DomainResource>;
  domainXml(domain: string, options?: CallOptions): Promise<DomainXmlDocument>;
  perform2(id: string, body: Perform2Request, options?: CallOptions): Promise<Perform2Reply>;
  migration(id: string, wait?: MigrationWait, options?: CallOptions): Promise<MigrationResource>;
}

/** The destination's steps. `finish` returns when the step is over, as `perform` does. */
export interface DestinationEnd extends SessionEnd {
  prepare(id: string, body: PrepareRequest, options?: CallOptions): Promise<PrepareReply>;
  prepareTunnel(id: string, body: PrepareRequest, options?: CallOptions): Promise<PrepareReply>;
  finish(id: string, body: FinishRequest, options?: CallOptions): Promise<FinishReply>;
  prepare2(id: string, body: Prepare2Request, options?: CallOptions): Promise<PrepareReply>;
  prepareTunnel2(id: string, body: Prepare2Request, options?: CallOptions): Promise<PrepareReply>;
  finish2(id: string, body: Finish2Request, options?: CallOptions): Promise<FinishReply>;
}
