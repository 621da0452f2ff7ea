export { attachGuest, caveatOf, detachGuest, examineQemu, type ForeignQemu } from './attach-guest.js';
export { Channel, connectLocalStream } from './channel.js';
export { ChannelFamily } from './channel-family.js';
export { findGuest } from './find-guest.js';
export { disposeHoldings, Guest } from './guest.js';
export type { GuestHost, Owner } from './guest-host.js';
export { auditedOf, resourcesOf } from './holdings.js';
export { incomingStateOf } from './run-state.js';
export { disposeUnstarted, obstaclesTo, removeUnstartedDevices, type StartGuest, startGuest } from './start-guest.js';
