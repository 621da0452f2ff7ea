export type { CallOptions, ClientOptions } from './caller.js';
export { DestinationAgentClient } from './destination-agent-client.js';
export {
  checkSides,
  checkTunnel,
  checkWay,
  HeldSession,
  ManagedMigration,
  type ManagedMigrationOptions,
  type ManagedRequest,
} from './managed/index.js';
export type { MigrationFilter, MigrationWait } from './migration-client.js';
export { type OpenedStream, type OpenStreamOptions, openStream } from './open-stream.js';
export { openTcp } from './open-tcp.js';
export { RelayClient } from './relay-client.js';
export { SourceAgentClient } from './source-agent-client.js';
