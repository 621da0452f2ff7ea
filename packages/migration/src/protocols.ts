/** The migration protocols that are spoken, the better one first. v2 is v3 inside, without Begin and Confirm on the wire (S42). */
export const protocols = ['v3', 'v2'] as const;
export type Protocol = (typeof protocols)[number];

/**
 * The protocol of a migration: the best that both sides offer. The destination decides, whatever its caller would like (S20). Null when
 * there is none.
 */
export function negotiate(source: readonly string[], destination: readonly string[]): Protocol | null {
  return protocols.find((protocol) => source.includes(protocol) && destination.includes(protocol)) ?? null;
}
