export { type CloseListener, commandDeadlineMsDefault, type ExecuteOptions, QmpClient, type WaitOptions } from './client.js';
export type { DialOptions } from './dial.js';
export type { EventListener } from './event-listeners.js';
export type * from './generated/commands.js';
export type { EventName, Events } from './generated/events.js';
export { lineBytesMax } from './line-reader.js';
export type { Greeting, QmpEvent } from './message.js';
