export type { PumpCounters } from './counters.js';
export { pipeBytesWanted } from './pump-descriptors.js';
export type { PumpEnd } from './pump-end.js';
export { prepareWorker } from './pump-workers.js';
export { type Pump, startPump } from './start-pump.js';
