export { type DestinationOptions, startDestinationAgent } from './app.js';
