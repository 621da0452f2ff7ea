import { VmferryError } from '@vmferry/errors';
import { malformed } from './fields.js';

/** The limit of a cookie in each direction, its NUL included (S46). */
const cookieBytesMax = 16_384;
const base64CharsMax = Math.ceil(cookieBytesMax / 3) * 4;

/** The text with its terminating NUL. Over 16,384 bytes is `cookie-too-large`. */
export function toWire(text: string): Uint8Array {
  const bytes = Buffer.from(`${text}\0`, 'utf8');
  refuseTooLarge(bytes.length, cookieBytesMax);
  return bytes;
}

/** The text before the terminating NUL. */
export function fromWire(bytes: Uint8Array): string {
  refuseTooLarge(bytes.length, cookieBytesMax);
  if (bytes.length === 0) throw malformed('it is empty, and this step needs one');
  if (bytes.at(-1) !== 0) throw malformed('it does not end with a NUL');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, -1));
  } catch (error) {
    throw malformed('it is not UTF-8', error);
  }
}

/** How JSON carries a cookie: base64 of all its bytes; '' stands for no cookie. */
export function cookieToBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** Strict: padded, canonical, no white space, so that one cookie has one text. */
export function cookieFromBase64(text: string): Uint8Array {
  refuseTooLarge(text.length, base64CharsMax);
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw malformed('it is not base64');
  return bytes;
}

function refuseTooLarge(length: number, max: number): void {
  if (length <= max) return;
  throw new VmferryError('cookie-too-large', `The migration cookie is over its limit of ${cookieBytesMax} bytes.`, {
    data: { bytesMax: cookieBytesMax },
  });
}
