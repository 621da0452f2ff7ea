export { generate } from './generate.js';
export { reduceSchema } from './reduce.js';
