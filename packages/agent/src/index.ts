export { blockerOf } from './check-finding.js';
export { MigrationMetrics } from './migration-metrics.js';
export { migrationReadRoutes } from './migration-read-routes.js';
export { type OpenHost, openHost } from './open-host.js';
export { type AgentOptions, agentCommand, secondsOption } from './options.js';
export { Peers } from './peers.js';
export { Waiters } from './waiters.js';
