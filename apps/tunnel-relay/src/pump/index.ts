export type { PumpCounters } from './counters.js';
export { Bandwidth } from './pace.js';
export { pipeBytesWanted } from './pump-descriptors.js';
export type { DirectionName, PathName, PumpEnd } from './pump-end.js';
export { prepareWorkers } from './pump-workers.js';
export { type Pump, startPump } from './start-pump.js';
export type { TlsSession } from './tls-session.js';
