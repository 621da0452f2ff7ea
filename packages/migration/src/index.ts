export { type ConfirmedOutcome, type Coordination, coordinate, type StepName, type Steps } from './coordinator.js';
export {
  type Activity,
  type DestinationEffect,
  type DestinationEvent,
  type DestinationState,
  type DestinationStep,
  type HeldReason,
  type IncomingQemu,
  isSettled,
  prepared,
  restarted,
  type SourceWord,
  stepDestination,
} from './destination-machine.js';
export {
  type FlagName,
  flagBits,
  flagsInHex,
  type MigrationFlag,
  type MigrationFlags,
  parseFlags,
  supportedFlags,
} from './flags.js';
export { keyName, type MigrationKey, type Permit, permitDigest, permitMatches } from './key.js';
export { checkOffline, isOffline, refuseOfflineIn, refuseOtherThanBegun, refuseSendingWishes } from './offline.js';
export { channelsOf, checkParallel, isParallel, refuseParallelIn } from './parallel.js';
export { negotiate, type Protocol, protocols } from './protocols.js';
export {
  type Answer,
  answerOf,
  type Binding,
  type Decision,
  decide,
  isBound,
  isBoundBy,
  isFinal,
  type OutcomeRecord,
  type SourcePeer,
  unbound,
} from './record.js';
export {
  begun,
  hasEnded,
  isUndecided,
  phaseOf,
  restartedSource,
  type SourceEffect,
  type SourceEvent,
  type SourceJournal,
  type SourceStage,
  type SourceState,
  type SourceStep,
  stepSource,
  wordOf,
} from './source-machine.js';
export { stepArguments } from './step-arguments.js';
export { checkTls, wantsTls } from './tls-flag.js';
