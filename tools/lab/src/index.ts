export { type AppExit, type AppName, AppProcess } from './app-process.js';
export { type Faults, Host, type HostOptions, type HostTimers, quickTimers } from './host.js';
export { isStopped, openDescriptors, processesOf } from './processes.js';
