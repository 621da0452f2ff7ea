import { hostName } from './common.js';
import { limits } from './limits.js';
import { z } from './z.js';

const word = z.string().max(limits.wordCharsMax);

/** What an agent may say that its host offers, where it decides whether two hosts can be the sides of a migration. */
export const features = {
  /** It has a tunnel-relay, and one that speaks TLS. */
  tunnelled: 'tunnelled',
  tunnelTls: 'tunnel-tls',
  /** It takes several streams of one migration, for the flag PARALLEL. */
  parallel: 'parallel',
  /** Its QEMUs have certificates, for the flag TLS. */
  tls: 'tls',
  /** Its QEMUs listen for guests that come by a `tcp:` URI, and also without TLS. */
  tcp: 'tcp',
  tcpInsecure: 'tcp-insecure',
} as const;

/** GET /version: what a peer checks before it begins (S42). */
export const versionReply = z
  .object({
    app: z.enum(['source-agent', 'destination-agent', 'tunnel-relay']),
    version: word,
    /** The migration protocols that are spoken, such as `v3`. */
    protocols: z.array(word).max(limits.wordCount),
    features: z.array(word).max(limits.wordCount),
    hostName,
    hostUuid: word,
    storeId: word,
  })
  .openapi('Version');
export type VersionReply = z.infer<typeof versionReply>;

/** GET /readyz; with 503 when it is not ready. */
export const readyReply = z
  .object({ ready: z.boolean(), checks: z.record(z.string(), z.object({ ok: z.boolean(), detail: z.string() })) })
  .openapi('Ready');
export type ReadyReply = z.infer<typeof readyReply>;
