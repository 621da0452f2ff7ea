export type { DestinationEnd, SourceEnd } from './ends.js';
export { HeldSession } from './held-session.js';
export { ManagedMigration, type ManagedMigrationOptions } from './managed-migration.js';
export type { ManagedRequest } from './managed-steps.js';
export { checkSides, checkTunnel, checkWay } from './preconditions.js';
