import { VmferryError } from '@vmferry/errors';
import { auditTextBytesMax, closeFd, isKernelAuditOn, openAuditSocket, sendAuditMessage } from '@vmferry/posix';
import type { AuditCopy } from './copy.js';
import { encodeField } from './encoding.js';
import { type AuditRecord, auditTypes } from './records.js';

/**
 * The kernel's audit: records of the types 2500 to 2502, as libaudit ends them, so that `ausearch` and `aureport` know them. The others have no
 * type there, and stay with the file. The kernel stamps each with its own time.
 */
export class KernelCopy implements AuditCopy {
  readonly name = 'kernel';
  /** Whether the kernel kept what it was sent when this was opened; it may be switched on and off at any time. */
  readonly on: boolean;
  readonly #fd: number;
  readonly #end: string;

  /** `exe` is this process's program. Throws `system-call-failed` where the kernel has no audit or forbids it. */
  constructor(exe: string) {
    this.#end = `${encodeField('exe', exe)} hostname=? addr=? terminal=?`;
    this.#fd = openAuditSocket();
    try {
      this.on = isKernelAuditOn(this.#fd, auditTypes.VIRT_CONTROL);
    } catch (thrown) {
      closeFd(this.#fd);
      throw thrown;
    }
  }

  send(_at: Date, { type, success, text }: AuditRecord): void {
    const number = auditTypes[type];
    if (number === null) return;
    const message = `${text} ${this.#end} res=${success ? 'success' : 'failed'}`;
    if (Buffer.byteLength(message) > auditTextBytesMax)
      throw new VmferryError('invalid-argument', `The kernel takes audit records of at most ${auditTextBytesMax} bytes.`);
    sendAuditMessage(this.#fd, number, message);
  }

  close(): void {
    closeFd(this.#fd);
  }
}
