import { randomBytes, randomUUID } from 'node:crypto';

/** Randomness as a parameter. */
export interface Random {
  /** `bytes` random bytes as lower-case hex, two digits a byte. */
  hex(bytes: number): string;
  uuid(): string;
}

export const systemRandom: Random = {
  hex: (bytes) => randomBytes(bytes).toString('hex'),
  uuid: () => randomUUID(),
};
