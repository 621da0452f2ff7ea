import type { AuditRecord } from './records.js';

/** Where records go besides the file. */
export const auditCopies = ['kernel', 'syslog'] as const;
export type AuditCopyName = (typeof auditCopies)[number];

/** The names in one word of a command line or of the environment; null when it names something else. */
export function auditCopiesIn(text: string): AuditCopyName[] | null {
  const words = text.split(/[\s,]+/);
  const named = words.flatMap((word) => auditCopies.find((name) => name === word) ?? []);
  return named.length === words.length ? named : null;
}

/** One of them. It takes a record at once or not at all: nothing waits for whoever reads it. */
export interface AuditCopy {
  readonly name: AuditCopyName;
  /** Throws `system-call-failed` when the record was not taken. */
  send(at: Date, record: AuditRecord): void;
  close(): void;
}
