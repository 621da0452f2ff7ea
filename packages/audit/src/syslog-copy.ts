import { closeFd, connectDatagram, isErrno, sendDatagram } from '@vmferry/posix';
import type { AuditCopy } from './copy.js';
import { type AuditRecord, logLine } from './records.js';

/** Where syslog daemons and journald listen. */
export const syslogPath = '/dev/log';

/** LOG_AUTHPRIV: what not every user may read. */
const facility = 10;
const severity = { info: 6, warn: 4 } as const;
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * The host's syslog, in the form in which libc's `syslog` sends to it: RFC 3164 without a host name, which every daemon and journald read (RFC 5424
 * not all of them do, on this socket). The packages that send it over a unix datagram socket bring a native module of their own for that; here
 * it is one call of @vmferry/posix.
 */
export class SyslogCopy implements AuditCopy {
  readonly name = 'syslog';
  readonly #path: string;
  readonly #tag: string;
  #fd: number | null = null;

  constructor(o: { readonly path: string; readonly app: string; readonly pid: number }) {
    this.#path = o.path;
    this.#tag = `${o.app}[${o.pid}]`;
  }

  /** Throws `system-call-failed` where nobody listens; whoever begins to later is found by the next record. */
  connect(): number {
    this.close();
    this.#fd = connectDatagram(this.#path);
    return this.#fd;
  }

  /** A daemon that was started anew has another socket under the same path. A full one (EAGAIN) is not asked twice. */
  send(at: Date, record: AuditRecord): void {
    const message = Buffer.from(this.#messageOf(at, record));
    if (this.#fd !== null) {
      try {
        sendDatagram(this.#fd, message);
        return;
      } catch (thrown) {
        if (isErrno(thrown, 'EAGAIN', 'EMSGSIZE', 'ENOBUFS')) throw thrown;
      }
    }
    sendDatagram(this.connect(), message);
  }

  close(): void {
    if (this.#fd !== null) closeFd(this.#fd);
    this.#fd = null;
  }

  /** The time is local, as whoever reads a syslog expects it. */
  #messageOf(at: Date, record: AuditRecord): string {
    const { level, text } = logLine(record);
    const two = (number: number) => String(number).padStart(2, '0');
    const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
    const day = String(at.getDate()).padStart(2, ' ');
    const priority = facility * 8 + severity[level];
    return `<${priority}>${months[at.getMonth()] ?? ''} ${day} ${time} ${this.#tag}: type=${record.type} ${text}`;
  }
}
