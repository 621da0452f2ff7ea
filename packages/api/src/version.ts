import { hostName } from './common.js';
import { limits } from './limits.js';
import { z } from './z.js';

const word = z.string().max(limits.wordCharsMax);

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
