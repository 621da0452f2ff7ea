import { timestamp, uuid } from './common.js';
import { limits } from './limits.js';
import { z } from './z.js';

/** A control session stands in for libvirt's connection (handover-and-faults, Control sessions). */
export const createSession = z
  .strictObject({ ttlSeconds: z.int().min(1).max(limits.sessionTtlSecondsMax).optional() })
  .openapi('CreateSession');
export type CreateSession = z.input<typeof createSession>;

export const sessionResource = z.object({ id: uuid, ttlSeconds: z.int(), expiresAt: timestamp }).openapi('Session');
export type SessionResource = z.infer<typeof sessionResource>;
