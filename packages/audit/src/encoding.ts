/**
 * A value as an audit record carries it (libvirt-protocol, A7): `key="value"`, or `key=HEX` in upper-case hex of its UTF-8 bytes when it holds a
 * quote, a blank, a control byte or anything that is not ASCII; so no value can end its field or its line. Null is `?`.
 */
export function encodeField(key: string, value: string | null): string {
  if (value === null) return `${key}=?`;
  return /^[!#-~]*$/.test(value) ? `${key}="${value}"` : `${key}=${Buffer.from(value, 'utf8').toString('hex').toUpperCase()}`;
}

/** Device number as two-digit upper-case hex, `MAJOR:MINOR`; each 0 to 1,048,575. */
export function encodeDevice({ major, minor }: { readonly major: number; readonly minor: number }): string {
  const hex = (number: number) => number.toString(16).toUpperCase().padStart(2, '0');
  return `${hex(major)}:${hex(minor)}`;
}
