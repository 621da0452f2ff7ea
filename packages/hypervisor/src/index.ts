export { type CommandLineOptions, commandLine } from './command-line/command-line.js';
export { measureDirtyRate } from './dirty-rate.js';
export { activateDisks } from './disks.js';
export { displayPortsOf, relocateSpiceClients, type SpiceServer, setDisplayPassword, spiceClientsMoved } from './display.js';
export { type ExecLabel, type Exit, firstInheritedFd, type LaunchedProcess, type LaunchOptions, launch } from './launch.js';
export { logTail } from './log-tail.js';
export {
  bandwidthBytesPerSecMax,
  cancelDeadlineMsDefault,
  cancelMigration,
  enableMigrationCapabilities,
  type HandedFd,
  incomingFromFd,
  incomingFromPort,
  incomingFromSocket,
  isLoaded,
  isTerminal,
  type MigrationLimits,
  type MigrationStatus,
  migrateToFd,
  migrateToSocket,
  migrationStatus,
  missingForMigration,
  multifd,
  prepareMigration,
  setMigrationLimits,
  type TerminalMigrationStatus,
} from './migration.js';
export { clearMigrationTls, type MigrationTls, setMigrationTls } from './migration-tls.js';
export { type Capabilities, emulatorDefault, probe } from './probe.js';
export {
  identityOf,
  isSameProcess,
  killDeadlineMsDefault,
  killProcess,
  type ProcessIdentity,
  waitForExit,
} from './process-identity.js';
export { prepareForFile, withFileBandwidth } from './to-file.js';
