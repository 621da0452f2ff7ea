export { type AuditedDomain, type AuditedRequest, Auditor, type AuditSink } from './auditor.js';
export { type AuditCopyName, auditCopies, auditCopiesIn } from './copy.js';
export { AuditFile, verifyAuditFile } from './file-sink.js';
export { type AuditedControl, type AuditReport, verifyAudit } from './lives.js';
export { openAudit } from './open-audit.js';
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
