import { VmferryError } from '@vmferry/errors';
import type { AuditSink } from './auditor.js';
import type { AuditCopy } from './copy.js';
import type { AuditRecord } from './records.js';

/** Who is told of sinks that fail; the log of the app. */
export interface AuditLog {
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
}

/**
 * The file with copies of its records. The file alone decides whether a record is written: a copy that fails fails nobody, and is told of when it
 * begins to fail and when it takes records again, with their number. Copies get each record whether the file takes it or not, so no sink loses
 * one for another's failure; what the file refuses and is tried again they have twice.
 */
export class CopiedAudit implements AuditSink {
  readonly #file: AuditSink;
  readonly #copies: readonly { readonly copy: AuditCopy; lost: number }[];
  readonly #log: AuditLog;

  constructor(file: AuditSink, copies: readonly AuditCopy[], log: AuditLog) {
    this.#file = file;
    this.#copies = copies.map((copy) => ({ copy, lost: 0 }));
    this.#log = log;
  }

  append(at: Date, records: readonly AuditRecord[]): Promise<void> {
    for (const to of this.#copies) for (const record of records) this.#send(to, at, record);
    return this.#file.append(at, records);
  }

  last(match: (line: string) => boolean): Promise<string | null> {
    return this.#file.last(match);
  }

  async close(): Promise<void> {
    for (const { copy } of this.#copies) copy.close();
    await this.#file.close();
  }

  #send(to: { readonly copy: AuditCopy; lost: number }, at: Date, record: AuditRecord): void {
    const sink = to.copy.name;
    try {
      to.copy.send(at, record);
    } catch (thrown) {
      if (to.lost === 0)
        this.#log.warn('an audit sink does not take records; the others have them', { sink, error: VmferryError.from(thrown) });
      to.lost += 1;
      return;
    }
    if (to.lost > 0) this.#log.warn('an audit sink takes records again', { sink, lost: to.lost });
    to.lost = 0;
  }
}
