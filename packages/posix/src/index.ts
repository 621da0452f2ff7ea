export { getAttribute, removeAttribute, setAttribute } from './attributes.js';
export { auditTextBytesMax, isKernelAuditOn, openAuditSocket, sendAuditMessage } from './audit-socket.js';
export { connectDatagram, sendDatagram } from './datagrams.js';
export {
  closeFd,
  duplicateFd,
  eventfd,
  notifyEventfd,
  openFile,
  pipe2,
  replaceFd,
  resizePipe,
  setNonBlocking,
} from './descriptors.js';
export { errnoName, isErrno, type SystemCallFailure, systemCallFailure } from './errno.js';
export { tcpSilentMsOf } from './foreign-sockets.js';
export { descriptorOf, detachSocket, takeHandle } from './handles.js';
export { withReadable } from './labelable.js';
export { flockExclusive } from './locks.js';
export { chownByDescriptor, giveSocket, type Owner } from './ownership.js';
export { receiveFd, sendWithFd } from './pass-fd.js';
export { lockedFiles, mayAdministerNetwork, openFilesMax, processExecutable, residentKib } from './proc.js';
export { bootId, type ProcessStart, pidfdOpen, pidfdSendSignal, processStartTime, waitPidfd } from './processes.js';
export {
  checkUnixSocketPath,
  congestionControl,
  limitUnsent,
  listenerPid,
  resetOnClose,
  sendWithoutDelay,
  setCongestionControl,
  setSendBuffer,
  shutdownFd,
  socketpair,
  takeSocketError,
  tcpRoundTripMicros,
  tcpSilentMs,
  unixSocketPathBytesMax,
} from './sockets.js';
export { type PollRequest, poll, pollBits, splice } from './splice.js';
export { enterNetworkNamespace, openTap, tapName, tunDevice } from './tap.js';
