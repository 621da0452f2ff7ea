import { VmferryError } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';
import { Auditor } from './auditor.js';
import { type AuditLog, CopiedAudit } from './copied-audit.js';
import type { AuditCopy, AuditCopyName } from './copy.js';
import { AuditFile } from './file-sink.js';
import { KernelCopy } from './kernel-copy.js';
import { SyslogCopy, syslogPath } from './syslog-copy.js';

export interface AuditOptions {
  readonly app: string;
  /** The file of this app; one process at a time has it open. */
  readonly path: string;
  /** Where its records go besides. */
  readonly copies: readonly AuditCopyName[];
  readonly clock: Clock;
  readonly log: AuditLog;
  /** Another place than `/dev/log`; for tests. */
  readonly syslogAt?: string;
}

/** Opens the audit of an app. What is in the way of a copy is logged, once, and the rest goes on. Throws what `AuditFile.open` does. */
export async function openAudit(o: AuditOptions): Promise<Auditor> {
  const file = await AuditFile.open(o.path, o.clock.wall());
  const copies = [...new Set(o.copies)].flatMap((name) => (name === 'kernel' ? kernelCopy(o.log) : syslogCopy(o)));
  return new Auditor(new CopiedAudit(file, copies, o.log), o.clock);
}

function kernelCopy(log: AuditLog): AuditCopy[] {
  try {
    const copy = new KernelCopy(process.execPath);
    if (!copy.on)
      log.warn("the kernel's audit is off: it drops what it is sent until it is switched on (auditctl -e 1)", { sink: 'kernel' });
    return [copy];
  } catch (thrown) {
    const error = VmferryError.from(thrown);
    log.warn("the kernel's audit cannot be used: records go to the other sinks alone", { sink: 'kernel', error });
    return [];
  }
}

function syslogCopy({ app, log, syslogAt = syslogPath }: AuditOptions): AuditCopy[] {
  const copy = new SyslogCopy({ path: syslogAt, app, pid: process.pid });
  try {
    copy.connect();
  } catch (thrown) {
    const error = VmferryError.from(thrown);
    log.warn('nobody takes audit records for the syslog; it gets those that come when somebody does', { sink: 'syslog', error });
  }
  return [copy];
}
