import { z } from './z.js';

/** GET /version: what a peer checks before it begins (S42). */
export const versionReply = z
  .object({
    app: z.enum(['source-agent', 'destination-agent', 'tunnel-relay']),
    version: z.string(),
    /** The migration protocols that are spoken, such as `v3`. */
    protocols: z.array(z.string()),
    features: z.array(z.string()),
    hostName: z.string(),
    hostUuid: z.string(),
    storeId: z.string(),
  })
  .openapi('Version');
export type VersionReply = z.infer<typeof versionReply>;
