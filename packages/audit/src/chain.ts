import { createHash } from 'node:crypto';
import { VmferryError } from '@vmferry/errors';
import { type AuditRecord, type AuditType, auditTypes, logLine } from './records.js';

/**
 * The lines of an audit file: `seq=N time=T type=TYPE success=yes|no FIELDS hash=H`, where H is the SHA-256 of the hash before and the line up to
 * here. A record that is changed, left out, added or moved breaks the chain; cutting off the end is seen only by who has
 * kept a later hash.
 *
 * What a crash has left half-written stays where it is; the next record is then of type `VMFERRY_TORN` and holds the number and the hash of
 * those bytes, so that the chain covers them.
 */
export interface ChainLink {
  readonly seq: number;
  readonly hash: string;
}

/** A record as it stands in a file, in its place. */
export interface ChainedRecord {
  readonly link: ChainLink;
  readonly time: string;
  readonly type: AuditType;
  readonly success: boolean;
  readonly fields: string;
}

export const genesis: ChainLink = { seq: 0, hash: '0'.repeat(64) };

const LINE_BYTES_MAX = 64 * 1024;
const LINE = /^(seq=(\d{1,15}) time=(\S{24}) type=([A-Z_]+) success=(yes|no) (.*)) hash=([0-9a-f]{64})$/s;

export function formatLine(before: ChainLink, at: Date, record: AuditRecord): { line: string; link: ChainLink } {
  const seq = before.seq + 1;
  const body = `seq=${seq} time=${at.toISOString()} type=${record.type} ${logLine(record).text}`;
  const hash = hashOf(before, body);
  const line = `${body} hash=${hash}`;
  if (/[\n\r]/.test(line) || Buffer.byteLength(line) > LINE_BYTES_MAX) {
    throw new VmferryError(
      'invalid-argument',
      `An audit record of more than one line, or of over ${LINE_BYTES_MAX} bytes, is refused.`,
    );
  }
  return { line, link: { seq, hash } };
}

export function tornRecord(torn: Uint8Array): AuditRecord {
  return { type: 'VMFERRY_TORN', success: false, text: tornFields(torn) };
}

function tornFields(torn: Uint8Array): string {
  return `bytes=${torn.length} sha256=${createHash('sha256').update(torn).digest('hex')}`;
}

function hashOf(before: ChainLink, body: string): string {
  return createHash('sha256').update(`${before.hash}\n${body}`).digest('hex');
}

/** Follows a chain line by line. */
export class ChainReader {
  #last: ChainLink | null;
  #torn: Uint8Array[] = [];
  #tornCount = 0;

  /** `from` is the link before the first line, or null to trust the first line that has the form of a record. */
  constructor(from: ChainLink | null) {
    this.#last = from;
  }

  /** The last record that was right. */
  get last(): ChainLink | null {
    return this.#last;
  }

  /** How often a crash has left half-written bytes that were marked. */
  get tornCount(): number {
    return this.#tornCount;
  }

  /** What came after the last record and is none, without the newline at its end; null when there is nothing. */
  get torn(): Uint8Array | null {
    const [first, ...more] = this.#torn;
    if (first === undefined) return null;
    return Buffer.concat([first, ...more.flatMap((line) => [Buffer.from('\n'), line])]);
  }

  /** Takes a line without its newline; null when it is no record. Throws `state-unreadable` at a record that follows what is no record and was not marked. */
  push(line: Uint8Array): ChainedRecord | null {
    const found = this.#read(Buffer.from(line).toString('utf8'));
    if (found === null) {
      this.#torn.push(line);
      return null;
    }
    // Before the first record that is trusted, there is nothing to compare with.
    const torn = this.#last === null ? null : this.torn;
    const marked = found.type === 'VMFERRY_TORN';
    if (this.#last !== null && (marked ? torn === null || found.fields !== tornFields(torn) : torn !== null)) {
      throw new VmferryError(
        'state-unreadable',
        `The audit chain is broken before record ${found.link.seq}: what stands there was changed or left out.`,
        {
          data: { seq: found.link.seq },
        },
      );
    }
    if (torn !== null) this.#tornCount += 1;
    this.#torn = [];
    this.#last = found.link;
    return found;
  }

  #read(line: string): ChainedRecord | null {
    const match = LINE.exec(line);
    if (match === null) return null;
    const [, body = '', seqText, time = '', type = '', success, fields = '', hash = ''] = match;
    if (!Object.hasOwn(auditTypes, type)) return null;
    const link = { seq: Number(seqText), hash };
    const before = this.#last;
    if (before !== null && (link.seq !== before.seq + 1 || hashOf(before, body) !== hash)) return null;
    // The table of types was just asked.
    return { link, time, type: type as AuditType, success: success === 'yes', fields };
  }
}
