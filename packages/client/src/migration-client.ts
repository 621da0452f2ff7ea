import type { z } from '@vmferry/api';
import { type MigrationList, type MigrationResource, migrationList, migrationResource } from '@vmferry/api';
import type { Clock } from '@vmferry/seams';
import { AgentClient, nothing, segment } from './app-client.js';
import type { Call, CallOptions } from './caller.js';
import { watchMigration } from './watch-migration.js';

export interface MigrationFilter {
  readonly state?: MigrationResource['state'];
  readonly domain?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

export interface MigrationWait {
  readonly afterGeneration?: number;
  readonly timeoutSeconds?: number;
}

/** The migrations of an agent: both agents tell of theirs in the same words. */
export class MigrationClient extends AgentClient {
  migrations(filter: MigrationFilter = {}, options: CallOptions = {}): Promise<MigrationList> {
    return this.caller.call({ method: 'get', path: '/v1/migrations', query: { ...filter }, reply: migrationList, ...options });
  }

  /** With `afterGeneration` a long poll: answers when the generation is above it, or unchanged after `timeoutSeconds`. */
  migration(id: string, wait: MigrationWait = {}, options: CallOptions = {}): Promise<MigrationResource> {
    const timeoutMs = ((wait.timeoutSeconds ?? 30) + 15) * 1_000;
    return this.caller.call({
      method: 'get',
      path: migrationPath(id),
      query: { ...wait },
      reply: migrationResource,
      timeoutMs,
      ...options,
    });
  }

  /** Each change of a migration, the present state first, until it is done. */
  watch(id: string, options: CallOptions & { readonly clock?: Clock } = {}): AsyncGenerator<MigrationResource, void, undefined> {
    return watchMigration(this.caller, id, options);
  }

  /** Forgets a finished migration's resource; its outcome record stays. */
  forgetMigration(id: string, options: CallOptions = {}): Promise<void> {
    return this.caller.call({ method: 'delete', path: migrationPath(id), reply: nothing, ...options });
  }

  protected act<S extends z.ZodType>(
    id: string,
    action: string,
    body: unknown,
    reply: S,
    options: CallOptions,
  ): Promise<z.output<S>> {
    const call: Call<S> = { method: 'post', path: `${migrationPath(id)}/${action}`, body, reply, ...options };
    return this.caller.call(call);
  }

  protected step<S extends z.ZodType>(
    id: string,
    name: string,
    body: unknown,
    reply: S,
    options: CallOptions,
  ): Promise<z.output<S>> {
    return this.caller.step({ path: `${migrationPath(id)}/${name}`, body, reply, ...options });
  }
}

export function migrationPath(id: string): string {
  return `/v1/migrations/${segment(id)}`;
}
