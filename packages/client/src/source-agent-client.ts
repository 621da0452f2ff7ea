import { randomUUID } from 'node:crypto';
import {
  type AdoptionReply,
  type AdoptionRequest,
  type AttachDomain,
  adoptionReply,
  type BeginReply,
  type BeginRequest,
  type BlockInfo,
  type BlockStats,
  type BreakLeaseRequest,
  beginReply,
  blockInfo,
  blockStats,
  type ConfirmReply,
  type ConfirmRequest,
  type CreateDomain,
  type CreateMigration,
  confirmReply,
  type DomainJob,
  type DomainList,
  type DomainResource,
  type DomainXmlDocument,
  type DumpDomain,
  type Dumped,
  domainJob,
  domainList,
  domainResource,
  domainXmlDocument,
  dumped,
  type EvidenceReply,
  type EvidenceRequest,
  evidenceReply,
  type ForceComplete,
  type LeaseResource,
  leaseResource,
  type ManagedSave,
  type MemoryStats,
  type MigrationCheck,
  type MigrationParameters,
  type MigrationResource,
  type MonitorCommand,
  type MonitorReply,
  memoryStats,
  migrationCheck,
  migrationResource,
  monitorReply,
  type Perform2Reply,
  type Perform2Request,
  type PerformReply,
  type PerformRequest,
  type PermitReply,
  type PermitRequest,
  perform2Reply,
  performReply,
  permitReply,
  type RestoreDomain,
  type SaveDomain,
  type SavedImage,
  type StartDomain,
  savedImage,
} from '@vmferry/api';
import { nothing, segment } from './app-client.js';
import type { CallOptions } from './caller.js';
import type { SourceEnd } from './managed/index.js';
import { MigrationClient, migrationPath } from './migration-client.js';

/** The source-agent: domains, and the source's side of a migration. */
export class SourceAgentClient extends MigrationClient implements SourceEnd {
  domains(options: CallOptions = {}): Promise<DomainList> {
    return this.caller.call({ method: 'get', path: '/v1/domains', reply: domainList, ...options });
  }

  domain(domain: string, options: CallOptions = {}): Promise<DomainResource> {
    return this.caller.call({ method: 'get', path: domainPath(domain), reply: domainResource, ...options });
  }

  createDomain(body: CreateDomain, options: CallOptions = {}): Promise<DomainResource> {
    return this.caller.call({ method: 'post', path: '/v1/domains', body, reply: domainResource, ...options });
  }

  /** Makes a QEMU that something else has started a domain of the host, for an administrator. */
  attachDomain(body: AttachDomain, options: CallOptions = {}): Promise<DomainResource> {
    return this.caller.call({ method: 'post', path: '/v1/domains/attach', body, reply: domainResource, ...options });
  }

  undefineDomain(domain: string, options: CallOptions = {}): Promise<void> {
    return this.caller.call({ method: 'delete', path: domainPath(domain), reply: nothing, ...options });
  }

  domainXml(domain: string, options: CallOptions = {}): Promise<DomainXmlDocument> {
    return this.caller.call({ method: 'get', path: `${domainPath(domain)}/xml`, reply: domainXmlDocument, ...options });
  }

  /** The same with the passwords of its display. */
  secureDomainXml(domain: string, options: CallOptions = {}): Promise<DomainXmlDocument> {
    return this.caller.call({ method: 'get', path: `${domainPath(domain)}/secure-xml`, reply: domainXmlDocument, ...options });
  }

  blockStats(domain: string, options: CallOptions = {}): Promise<BlockStats> {
    return this.caller.call({ method: 'get', path: `${domainPath(domain)}/block-stats`, reply: blockStats, ...options });
  }

  blockInfo(domain: string, options: CallOptions = {}): Promise<BlockInfo> {
    return this.caller.call({ method: 'get', path: `${domainPath(domain)}/block-info`, reply: blockInfo, ...options });
  }

  memoryStats(domain: string, options: CallOptions = {}): Promise<MemoryStats> {
    return this.caller.call({ method: 'get', path: `${domainPath(domain)}/memory-stats`, reply: memoryStats, ...options });
  }

  job(domain: string, options: CallOptions = {}): Promise<DomainJob> {
    return this.caller.call({ method: 'get', path: `${domainPath(domain)}/job`, reply: domainJob, ...options });
  }

  /** Asks that the async job end without its aim; that it has ended is told by `job`. */
  abortJob(domain: string, options: CallOptions = {}): Promise<DomainResource> {
    return this.#control(domain, 'job/abort', undefined, options);
  }

  /** Passes a command on to QEMU's monitor, for an administrator. */
  monitorCommand(domain: string, body: MonitorCommand, options: CallOptions = {}): Promise<MonitorReply> {
    return this.caller.call({ method: 'post', path: `${domainPath(domain)}/monitor`, body, reply: monitorReply, ...options });
  }

  lease(uuid: string, options: CallOptions = {}): Promise<LeaseResource> {
    return this.caller.call({ method: 'get', path: `/v1/leases/${segment(uuid)}`, reply: leaseResource, ...options });
  }

  /** Frees the lease of a guest whose owner was fenced, for an administrator. */
  breakLease(uuid: string, body: BreakLeaseRequest, options: CallOptions = {}): Promise<LeaseResource> {
    const path = `/v1/leases/${segment(uuid)}/break`;
    return this.caller.call({ method: 'post', path, body, reply: leaseResource, ...options });
  }

  start(domain: string, body: StartDomain = {}, options: CallOptions = {}): Promise<DomainResource> {
    return this.#control(domain, 'start', body, options);
  }

  suspend(domain: string, options: CallOptions = {}): Promise<DomainResource> {
    return this.#control(domain, 'suspend', undefined, options);
  }

  resume(domain: string, options: CallOptions = {}): Promise<DomainResource> {
    return this.#control(domain, 'resume', undefined, options);
  }

  /** Asks the guest to shut down; it may take its time, or not do it. */
  shutdown(domain: string, options: CallOptions = {}): Promise<DomainResource> {
    return this.#control(domain, 'shutdown', undefined, options);
  }

  destroy(domain: string, options: CallOptions = {}): Promise<DomainResource> {
    return this.#control(domain, 'destroy', undefined, options);
  }

  /** Resolves when the guest is in the file and its QEMU has ended; the same id joins a save under way. */
  save(domain: string, body: SaveDomain, options: CallOptions = {}): Promise<SavedImage> {
    return this.caller.step({ path: `${domainPath(domain)}/save`, body: withId(body), reply: savedImage, ...options });
  }

  managedSave(domain: string, body: ManagedSave & { readonly id?: string } = {}, options: CallOptions = {}): Promise<SavedImage> {
    return this.caller.step({ path: `${domainPath(domain)}/managed-save`, body: withId(body), reply: savedImage, ...options });
  }

  dump(domain: string, body: DumpDomain, options: CallOptions = {}): Promise<Dumped> {
    return this.caller.step({ path: `${domainPath(domain)}/dump`, body: withId(body), reply: dumped, ...options });
  }

  removeManagedSave(domain: string, options: CallOptions = {}): Promise<void> {
    return this.caller.call({ method: 'delete', path: `${domainPath(domain)}/managed-save`, reply: nothing, ...options });
  }

  restore(body: RestoreDomain & { readonly id?: string }, options: CallOptions = {}): Promise<DomainResource> {
    return this.caller.step({ path: '/v1/restores', body: withId(body), reply: domainResource, ...options });
  }

  /** Starts a peer-to-peer migration; the answer is its resource, as it is at once. */
  migrate(body: CreateMigration, options: CallOptions = {}): Promise<MigrationResource> {
    return this.caller.call({ method: 'post', path: '/v1/migrations', body, reply: migrationResource, ...options });
  }

  /** All that is in the way of this migration at both hosts, and how it would go; nothing happens. */
  checkMigration(body: CreateMigration, options: CallOptions = {}): Promise<MigrationCheck> {
    return this.caller.call({ method: 'post', path: '/v1/migrations/check', body, reply: migrationCheck, ...options });
  }

  cancelMigration(id: string, options: CallOptions = {}): Promise<MigrationResource> {
    return this.act(id, 'cancel', undefined, migrationResource, options);
  }

  setParameters(id: string, body: MigrationParameters, options: CallOptions = {}): Promise<MigrationResource> {
    return this.caller.call({
      method: 'patch',
      path: `${migrationPath(id)}/parameters`,
      body,
      reply: migrationResource,
      ...options,
    });
  }

  /** Stops the guest, so that the rest of its memory goes over. */
  forceComplete(id: string, body: ForceComplete, options: CallOptions = {}): Promise<MigrationResource> {
    return this.act(id, 'force-complete', body, migrationResource, options);
  }

  begin(id: string, body: BeginRequest, options: CallOptions = {}): Promise<BeginReply> {
    return this.step(id, 'begin', body, beginReply, options);
  }

  perform(id: string, body: PerformRequest, options: CallOptions = {}): Promise<PerformReply> {
    return this.step(id, 'perform', body, performReply, options);
  }

  perform2(id: string, body: Perform2Request, options: CallOptions = {}): Promise<Perform2Reply> {
    return this.step(id, 'perform2', body, perform2Reply, options);
  }

  confirm(id: string, body: ConfirmRequest, options: CallOptions = {}): Promise<ConfirmReply> {
    return this.step(id, 'confirm', body, confirmReply, options);
  }

  /** The hold rule's question of a destination-agent. */
  evidence(id: string, body: EvidenceRequest, options: CallOptions = {}): Promise<EvidenceReply> {
    return this.act(id, 'evidence', body, evidenceReply, options);
  }

  /** Finish2's question of a destination-agent. */
  permit(id: string, body: PermitRequest, options: CallOptions = {}): Promise<PermitReply> {
    return this.act(id, 'permit', body, permitReply, options);
  }

  /** A hint that a committed domain waits to be pulled. */
  adopt(body: AdoptionRequest, options: CallOptions = {}): Promise<AdoptionReply> {
    return this.caller.call({ method: 'post', path: '/v1/adoptions', body, reply: adoptionReply, ...options });
  }

  #control(domain: string, action: string, body: StartDomain | undefined, options: CallOptions): Promise<DomainResource> {
    return this.caller.call({ method: 'post', path: `${domainPath(domain)}/${action}`, body, reply: domainResource, ...options });
  }
}

function domainPath(domain: string): string {
  return `/v1/domains/${segment(domain)}`;
}

/** What lasts long is asked for again until it is answered: by its id that is known for the same. */
function withId<B extends { readonly id?: string | undefined }>(body: B): B {
  return { id: randomUUID(), ...body };
}
