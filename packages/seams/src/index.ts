export { type Clock, sleep, systemClock, type Timer } from './clock.js';
export { type FaultKind, type FaultPlan, type FaultPoints, faultPointsFrom, noFaults } from './fault-points.js';
export { ManualClock } from './manual-clock.js';
export { type Random, systemRandom } from './random.js';
