import { VmferryError } from '@vmferry/errors';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
// XML has refused the other control characters by the time these are applied.
const line = (charsMax: number) => new RegExp(`^[^\\t\\n\\r]{1,${charsMax}}$`, 'u');
const text = (charsMax: number) => new RegExp(`^[^]{1,${charsMax}}$`, 'u');

/** What each field of a cookie may hold, when it is written as when it is read. */
const patterns = {
  name: line(255),
  uuid,
  hostName: line(255),
  hostUuid: uuid,
  'graphics listen': line(255),
  'graphics cert': line(1024),
  'lockstate driver': /^[a-z][a-z0-9-]{0,31}$/,
  'lockstate leases': text(8192),
  'vmferry version': /^1$/,
  'vmferry migration id': /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
  'vmferry migration nonce': /^[0-9a-f]{32}$/,
  'vmferry permitDigest': /^[0-9a-f]{64}$/,
  'vmferry permit': /^[0-9a-f]{32}$/,
  'vmferry peer url': /^https?:\/\/[^\s@]{1,500}$/u,
  'vmferry peer storeId': /^[0-9a-f]{32}$/,
  'vmferry stream url': /^(https?:\/\/|tcp:)[^\s@]{1,500}$/u,
  'vmferry stream ticket': /^[A-Za-z0-9_-]{32,128}$/,
  'vmferry stream channels': /^([1-9]|1[0-6])$/,
  'vmferry leases': text(8192),
} as const satisfies Record<string, RegExp>;

export type CookieField = keyof typeof patterns;

/** The value if the field may hold it; else `cookie-malformed`. The message names the field only: some values are secrets. */
export function checkField(field: CookieField, value: string | undefined): string {
  if (value === undefined || value === '') throw malformed(`its ${field} is missing`);
  if (!patterns[field].test(value)) throw malformed(`its ${field} is not valid`);
  return value;
}

/** A port as decimal text, -1 to 65,535. */
export function checkPort(field: string, value: string | undefined): number {
  if (value === undefined || value === '') throw malformed(`its ${field} is missing`);
  const port = /^(-1|\d{1,5})$/.test(value) ? Number(value) : Number.NaN;
  if (Number.isNaN(port) || port > 65_535) throw malformed(`its ${field} is not a port`);
  return port;
}

export function malformed(what: string, cause?: unknown): VmferryError {
  return new VmferryError('cookie-malformed', `The migration cookie cannot be used: ${what}.`, { cause });
}
