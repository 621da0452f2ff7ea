import { createHash, timingSafeEqual } from 'node:crypto';

/** What names one migration for ever: a client's id is an alias, the nonce of Begin makes it unique (handover rule, "Around it"). */
export interface MigrationKey {
  readonly id: string;
  /** 128 random bits, 32 lower-case hex digits. */
  readonly nonce: string;
}

/** The file name of a key's documents. */
export function keyName(key: MigrationKey): string {
  return `${key.id}.${key.nonce}`;
}

/** The permit to finish: 128 random bits, 32 lower-case hex digits. Only the source knows it until QEMU has completed (rule 1). */
export type Permit = string;

/** What Begin's cookie says of the permit: its SHA-256, 64 lower-case hex digits. */
export function permitDigest(permit: Permit): string {
  return createHash('sha256').update(permit, 'utf8').digest('hex');
}

/** Whether `permit` is the one that `digest` was made from; the time it takes tells nothing. The empty digest of an unbound record matches none. */
export function permitMatches(permit: Permit, digest: string): boolean {
  const given = Buffer.from(permitDigest(permit), 'utf8');
  const wanted = Buffer.from(digest, 'utf8');
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
