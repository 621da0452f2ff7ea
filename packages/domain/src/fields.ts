import { VmferryError } from '@vmferry/errors';
import { attribute, childrenOf, textOf, type XmlElement } from '@vmferry/xml';

/** `definition-invalid`: where in the document, what is wrong there, and so what to change. */
export function invalid(where: string, what: string): VmferryError {
  return new VmferryError('definition-invalid', `The domain definition is not valid: ${where} ${what}.`, {
    errors: [{ path: where, code: 'definition-invalid', detail: `${where} ${what}` }],
  });
}

/**
 * Thrown while a device is read: it is well-formed, and cannot be started here. `readDevices` turns it into an `unsupported`
 * device, so that the document is kept and the start refused.
 */
export class UnsupportedPart extends Error {
  constructor(readonly what?: string) {
    super(what);
  }
}

const control = /\p{Cc}/u;

/** Shown in messages, whatever a document holds. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

/** The child of this name; a second one is refused, for two readers might each believe another. */
export function only(of: XmlElement, name: string): XmlElement | undefined {
  const [first, second] = childrenOf(of, name);
  if (second !== undefined) throw invalid(`<${of.name}>`, `has more than one <${name}>`);
  return first;
}

/** The attribute of an only child. */
export function attributeOf(of: XmlElement, name: string, attributeName: string): string | undefined {
  const found = only(of, name);
  return found === undefined ? undefined : attribute(found, attributeName);
}

/** The text of an only child without the space around it; an empty one is none. */
export function textOfOnly(of: XmlElement, name: string): string | undefined {
  const found = only(of, name);
  const text = found === undefined ? '' : textOf(found).trim();
  return text === '' ? undefined : text;
}

/** A domain's name: 1 to 128 characters, no slash, no control character, no space first. */
export function domainName(where: string, text: string): string {
  if (text.length <= 128 && /^[^\s/\p{Cc}][^/\p{Cc}]*$/u.test(text)) return text;
  throw invalid(where, `is ${quote(text)}; a name has 1 to 128 characters, no slash, no control character and no space first`);
}

/** An absolute path of at most 4,095 bytes, without a control character and without `..`. */
export function absolutePath(where: string, text: string, bytesMax = 4095): string {
  const parts = text.split('/');
  if (!text.startsWith('/') || text.endsWith('/') || control.test(text) || parts.includes('..')) {
    throw invalid(where, `is ${quote(text)}; it must be an absolute path of a file, without ".." and control characters`);
  }
  if (Buffer.byteLength(text) > bytesMax) throw invalid(where, `is longer than ${bytesMax} bytes`);
  return text;
}

/** One line of at most this many bytes. */
export function line(where: string, text: string, bytesMax: number): string {
  if (control.test(text)) throw invalid(where, 'has a control character');
  if (Buffer.byteLength(text) > bytesMax) throw invalid(where, `is longer than ${bytesMax} bytes`);
  return text;
}

export function matching(where: string, text: string, pattern: RegExp, expected: string): string {
  if (pattern.test(text)) return text;
  throw invalid(where, `is ${quote(text)}; it must be ${expected}`);
}

/** Decimal, or hexadecimal after 0x. */
export function integer(where: string, text: string, min: number, max: number): number {
  const value = /^(-?\d{1,15}|0[xX][0-9a-fA-F]{1,12})$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw invalid(where, `is ${quote(text)}; it must be a whole number from ${min} to ${max}`);
}

export function optionalInteger(where: string, text: string | undefined, min: number, max: number): number | undefined {
  return text === undefined ? undefined : integer(where, text, min, max);
}

export function oneOf<T extends string>(where: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw invalid(where, `is ${quote(text)}; it must be one of ${allowed.join(', ')}`);
  return found;
}

/** A value of a device that is good libvirt, perhaps, and not one of those supported here. */
export function supported<T extends string>(what: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw new UnsupportedPart(`${what}=${quote(text)}`);
  return found;
}

export function yesNo(where: string, text: string): boolean {
  return oneOf(where, text, ['yes', 'no']) === 'yes';
}
