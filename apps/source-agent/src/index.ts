export { startSourceAgent } from './app.js';
