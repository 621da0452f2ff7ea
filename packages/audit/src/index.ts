export { type AuditedDomain, type AuditedRequest, Auditor, type AuditSink } from './auditor.js';
export { AuditFile, verifyAuditFile } from './file-sink.js';
export {
  type AuditedGuest,
  type AuditReason,
  type AuditRecord,
  type AuditType,
  auditTypes,
  type CgroupDevices,
  type ControlFacts,
  type DeviceNumber,
  formatControl,
  formatLabel,
  formatResource,
  type LabelFacts,
  logLine,
  type ResourceFacts,
} from './records.js';
