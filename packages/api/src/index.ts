export * from './common.js';
export * from './domain.js';
export { limits } from './limits.js';
export * from './migration.js';
export * from './session.js';
export * from './steps.js';
export * from './stream.js';
export * from './version.js';
export { z } from './z.js';
