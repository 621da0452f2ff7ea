export { type AgentLock, type AppName, takeAgentLock } from './agent-lock.js';
export type { Arrival, Arrivals } from './arrivals.js';
export type { SetAsideReporter } from './document-folder.js';
export { DocumentStore, type DocumentStoreOptions } from './document-store.js';
export { DomainConfigs, type XmlFolderOptions } from './domain-configs.js';
export type { DomainStatus, StatusFile, Taint } from './domain-status.js';
export { DomainStatuses } from './domain-statuses.js';
export { type HostIdentity, type HostState, type OpenHostState, openHostState } from './host.js';
export { KeptDocument } from './kept-document.js';
