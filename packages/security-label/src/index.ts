export { DacLabels, type DacOptions } from './dac.js';
export { labelledDomain } from './labelled-domain.js';
export { noLabels } from './none.js';
export { type OwnerMemory, parseRememberedOwners, type RememberedOwners } from './owner-memory.js';
export { checkReach } from './reach.js';
export type { LabelledDomain, SecurityDriver } from './security-driver.js';
export { stackLabels } from './stack.js';
