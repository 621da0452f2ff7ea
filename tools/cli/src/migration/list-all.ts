import type { MigrationResource, MigrationState } from '@vmferry/api';
import type { SourceAgentClient } from '@vmferry/client';

/** The agent keeps finished migrations for 30 days; this is more than a person reads. */
const listedMax = 5_000;

/** All pages of the list, at most 5,000 migrations. */
export async function listAll(
  agent: SourceAgentClient,
  { state, domain }: { readonly state?: MigrationState; readonly domain?: string },
): Promise<MigrationResource[]> {
  const filter = { ...(state === undefined ? {} : { state }), ...(domain === undefined ? {} : { domain }) };
  const listed: MigrationResource[] = [];
  let cursor: string | null = null;
  do {
    const page = await agent.migrations(cursor === null ? filter : { ...filter, cursor });
    listed.push(...page.migrations);
    cursor = page.nextCursor;
  } while (cursor !== null && listed.length < listedMax);
  return listed;
}
