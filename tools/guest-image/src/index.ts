export { type BootSectorGuest, bootSectorGuest, pageWritten } from './boot-sector-guest.js';
export { type BootSectorDomain, domainXmlOf, type LinuxDomain } from './domain-xml.js';
export { type LinuxGuest, linuxGuest } from './linux-guest.js';
export { type ArrivedTick, largestGapMs, listenForTicks, type TickListener } from './tick-listener.js';
export { findBreak, parseTickLine, parseTicks, type Tick } from './ticks.js';
