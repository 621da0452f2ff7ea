export { type Authenticator, isLoopback, loadAuthenticator } from './authentication.js';
export { bodyDigest } from './body-digest.js';
export { describeRoutes, routeFaults } from './describe-routes.js';
export { parseListenAddress } from './listen-address.js';
export { LiveMigration } from './live-resource.js';
export { createLogger, type Log, type LogFields, type LoggerOptions, type LogLevel, logLevels } from './log.js';
export { type LabelValues, Metrics } from './metrics.js';
export { openApiDocument } from './openapi.js';
export { type Permission, type Principal, permissions } from './permission.js';
export { type Publication, Publisher, type Subscribable } from './publisher.js';
export { acceptUpgrade } from './raw-response.js';
export {
  defineRoute,
  type Method,
  type Route,
  type RouteAnswer,
  type RouteContext,
  type RouteDefinition,
  type RouteReply,
  type UpgradeContext,
  type UpgradeRoute,
} from './route.js';
export { exitUsage, type RunningApp, runApp } from './run-app.js';
export { checkRuntimeDir } from './runtime-dir.js';
export { createService, type ServerLimits, type Service, type ServiceOptions, serverLimits } from './service.js';
export { sessionRoutes } from './session-routes.js';
export { ControlSessions, type SessionEnd } from './sessions.js';
export type { ReadyCheck } from './standard-routes.js';
export { type StepKey, StepReplies } from './step-replies.js';
export { openTlsIdentity, type TlsOptions } from './tls-identity.js';
export { answerWithin, longPoll } from './waiting.js';
