import {
  type MigrationResource,
  migrationId,
  migrationList,
  migrationQuery,
  migrationResource,
  waitQuery,
  z,
} from '@vmferry/api';
import { defineRoute, type LiveMigration, longPoll, type Route } from '@vmferry/service';

const params = z.strictObject({ id: migrationId });

/** The migrations of one side, as whoever keeps them hands them out. */
export interface ToldMigrations {
  list(): readonly { readonly live: LiveMigration }[];
  /** Throws `migration-not-found`. */
  byId(id: string): { readonly live: LiveMigration };
}

/** Both agents tell of their migrations in the same words: listed, polled, long-polled by generation, watched. */
export function migrationReadRoutes(side: 'incoming' | 'outgoing', migrations: ToldMigrations): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/migrations',
      summary: `Lists the ${side} migrations, the newest first.`,
      permission: 'read',
      query: migrationQuery,
      reply: { status: 200, schema: migrationList },
      problems: [],
      handler: ({ query }) => ({ body: pageOf(migrations.list(), query) }),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/migrations/:id',
      summary: `Tells of one ${side} migration; with afterGeneration when it has changed.`,
      permission: 'read',
      params,
      query: waitQuery,
      reply: { status: 200, schema: migrationResource },
      problems: ['migration-not-found'],
      handler: (ctx) => longPoll(ctx, migrations.byId(ctx.params.id).live.publisher, ctx.query),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/migrations/:id/events',
      summary: `Each change of an ${side} migration as server-sent events, the present state first.`,
      permission: 'read',
      params,
      reply: { status: 200, schema: migrationResource, contentType: 'text/event-stream' },
      problems: ['migration-not-found'],
      handler: (ctx) => ({ sse: migrations.byId(ctx.params.id).live.publisher }),
    }),
  ];
}

/** One page, behind the migration that the cursor names. */
function pageOf(all: ReturnType<ToldMigrations['list']>, query: z.output<typeof migrationQuery>): z.input<typeof migrationList> {
  const wanted = all
    .map(({ live }) => live.value)
    .filter((migration) => (query.state === undefined || migration.state === query.state) && isOf(migration, query.domain))
    .sort((a, b) => b.createdAt.localeCompare(a.createdAt) || a.id.localeCompare(b.id));
  const from = query.cursor === undefined ? 0 : wanted.findIndex(({ id }) => id === query.cursor) + 1;
  const migrations = wanted.slice(from, from + query.limit);
  const last = migrations.at(-1);
  return { migrations, nextCursor: last !== undefined && from + query.limit < wanted.length ? last.id : null };
}

function isOf({ domain }: MigrationResource, wanted: string | undefined): boolean {
  return wanted === undefined || [domain.uuid, domain.name, domain.destinationName].includes(wanted);
}
