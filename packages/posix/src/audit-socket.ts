import { errnoName, systemCallError } from './errno.js';
import { checked, lastErrno, libc } from './libc.js';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2_000_000;
const NETLINK_AUDIT = 9;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLMSG_ERROR = 2;
const MSG_DONTWAIT = 0x40;
/** struct nlmsghdr: u32 length, u16 type, u16 flags, u32 sequence, u32 port. */
const headerBytes = 16;
/** The answer is a header, an errno and the header of the question. */
const answerBytesMax = 256;

/** What the kernel takes of a message's text (AUDIT_MESSAGE_TEXT_MAX), in bytes; it cuts off the rest without a word. */
export const auditTextBytesMax = 8_560;

/** A socket to the kernel's audit, close-on-exec. Throws `system-call-failed`: EPROTONOSUPPORT from a kernel without audit. */
export function openAuditSocket(): number {
  return checked('socket', libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT), "the kernel's audit");
}

/** Hands the kernel one message of the user space, of type 1100 to 1199 or 2100 to 2999. Throws `system-call-failed` when it does not take it. */
export function sendAuditMessage(fd: number, type: number, text: string): void {
  const errno = ask(fd, type, Buffer.from(`${text}\0`));
  if (errno !== 0) throw systemCallError('send', errno, "a message to the kernel's audit");
}

/**
 * Whether the kernel keeps what it is sent, asked without leaving a trace: of a message without text it says EINVAL, and when its audit is off
 * it takes that as it takes all, for nothing. Throws `system-call-failed` where this process may not send: EPERM, or ECONNREFUSED in a container.
 */
export function isKernelAuditOn(fd: number, type: number): boolean {
  const errno = ask(fd, type, new Uint8Array(0));
  if (errno === 0) return false;
  if (errnoName(errno) === 'EINVAL') return true;
  throw systemCallError('send', errno, "the kernel's audit");
}

/** The errno of the kernel's answer, which is there when `send` returns: the kernel works on such a message in the call itself. */
function ask(fd: number, type: number, text: Uint8Array): number {
  const message = new Uint8Array(headerBytes + text.length);
  new Uint32Array(message.buffer, 0, 1)[0] = message.length;
  new Uint16Array(message.buffer, 4, 2).set([type, NLM_F_REQUEST | NLM_F_ACK]);
  message.set(text, headerBytes);
  const sent = libc.send(fd, message, message.length, MSG_DONTWAIT);
  if (sent === -1) return lastErrno();
  const answer = new Uint8Array(answerBytesMax);
  checked('recv', libc.recv(fd, answer, answer.length, MSG_DONTWAIT), "the answer of the kernel's audit");
  const [answered] = new Uint16Array(answer.buffer, 4, 1);
  const [error = 0] = new Int32Array(answer.buffer, headerBytes, 1);
  return answered === NLMSG_ERROR ? -error : 0;
}
