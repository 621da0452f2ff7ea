import type { MigrationResource } from '@vmferry/api';
import { SourceAgentClient } from '@vmferry/client';
import { type Clock, systemClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { failed, migrationOf, needsAttention, succeeded } from '../spec/fixtures.js';
import { json, problem, scriptedAgent, sse } from '../spec/scripted-agent.js';
import { happening } from '../spec/until.js';
import { attentionMsMax, watchToEnd } from './watch-to-end.js';

/** Real time, but for the pauses between two tries, which pass a hundred times as fast. */
const hasty: Clock = { ...systemClock, after: (delayMs, act) => systemClock.after(delayMs / 100, act) };

const running = migrationOf();

function watch(
  url: string,
  options: { clock?: Clock; signal?: AbortSignal; changed?: (migration: MigrationResource) => void } = {},
) {
  const seen: number[] = [];
  const clock = options.clock ?? hasty;
  const end = watchToEnd(new SourceAgentClient(url, { clock }), 'm1', {
    clock,
    signal: options.signal ?? new AbortController().signal,
    changed: (migration) => {
      seen.push(migration.generation);
      options.changed?.(migration);
    },
  });
  return { seen, end };
}

describe('watching a migration', () => {
  it('follows its events to the end', async () => {
    const agent = await scriptedAgent((_, res) => {
      const tell = sse(res);
      tell('snapshot', running);
      tell('progress', { ...running, generation: 8 });
      tell('done', succeeded);
    });
    const { seen, end } = watch(agent.url);
    expect(await end).toEqual(succeeded);
    expect(seen).toEqual([7, 8, 9]);
    expect(agent.heard.map((heard) => heard.path)).toEqual(['/v1/migrations/m1/events']);
  });

  it('survives kill -9 of the agent and its restart', async () => {
    const seen7 = happening();
    const first = await scriptedAgent((_, res) => sse(res)('snapshot', running));
    const { seen, end } = watch(first.url, { changed: ({ generation }) => generation === 7 && seen7.happened() });
    await seen7.promise;
    await first.kill();
    await new Promise((resolve) => setTimeout(resolve, 50)); // some tries find nobody
    const second = await scriptedAgent((_, res) => {
      const tell = sse(res);
      tell('snapshot', { ...running, generation: 7 });
      tell('done', succeeded);
    }, first.port);
    expect(await end).toEqual(succeeded);
    expect(seen).toEqual([7, 9]);
    expect(second.heard).toHaveLength(1);
  });

  it('falls back to long polls where events do not come through, and survives a restart there too', async () => {
    const answers: ((res: Parameters<typeof json>[0]) => void)[] = [
      (res) => json(res, 200, running),
      (res) => json(res, 200, { ...running, generation: 8 }),
      (res) => void res.destroy(),
      (res) => problem(res, 503, 'draining', { retryable: true }),
      // After its restart it counts from a lower number.
      (res) => json(res, 200, { ...running, generation: 2 }),
      (res) => json(res, 200, { ...failed, generation: 3 }),
    ];
    const agent = await scriptedAgent(({ path }, res) => {
      if (path.endsWith('/events')) res.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: not JSON\n\n');
      else answers.shift()?.(res);
    });
    const { seen, end } = watch(agent.url);
    expect((await end).state).toBe('FAILED');
    expect(seen).toEqual([7, 8, 2, 3]);
    expect(agent.heard.slice(1).map((heard) => heard.path.split('?')[1] ?? 'now')).toEqual([
      'now',
      'afterGeneration=7&timeoutSeconds=30',
      'afterGeneration=8&timeoutSeconds=30',
      'now',
      'now',
      'afterGeneration=2&timeoutSeconds=30',
    ]);
  });

  it('gives up at once on what the agent refuses', async () => {
    const agent = await scriptedAgent((_, res) => problem(res, 404, 'migration-not-found'));
    await expect(watch(agent.url).end).rejects.toMatchObject({ code: 'migration-not-found' });
    expect(agent.heard).toHaveLength(1);
  });

  it('ends with what it saw last when attention is needed for too long', async () => {
    const agent = await scriptedAgent((_, res) => sse(res)('snapshot', needsAttention));
    const waits: number[] = [];
    const clock: Clock = {
      ...systemClock,
      after: (delayMs, act) => {
        waits.push(delayMs);
        // The first is the time that the agent has for its answer.
        return systemClock.after(waits.length > 1 ? 20 : delayMs, act);
      },
    };
    expect(await watch(agent.url, { clock }).end).toEqual(needsAttention);
    expect(waits.slice(1)).toEqual([attentionMsMax]);
  });

  it('waits for the end of the tidying up, which tells how long it all took', async () => {
    const agent = await scriptedAgent((_, res) => {
      const tell = sse(res);
      tell('phase', { ...succeeded, finishedAt: null });
      tell('done', { ...succeeded, generation: 10 });
    });
    expect((await watch(agent.url).end).finishedAt).toBe(succeeded.finishedAt);
  });

  it('waits on when attention is no longer needed', async () => {
    const agent = await scriptedAgent((_, res) => {
      const tell = sse(res);
      tell('snapshot', needsAttention);
      tell('phase', { ...running, generation: 10 });
      setTimeout(() => tell('done', { ...succeeded, generation: 11 }), 60);
    });
    const clock: Clock = {
      ...systemClock,
      after: (delayMs, act) => systemClock.after(delayMs === attentionMsMax ? 30 : delayMs, act),
    };
    expect((await watch(agent.url, { clock }).end).state).toBe('SUCCEEDED');
  });

  it('stops when it is told to', async () => {
    const agent = await scriptedAgent((_, res) => sse(res)('snapshot', running));
    const stop = new AbortController();
    const { end } = watch(agent.url, { signal: stop.signal, changed: () => stop.abort(new Error('told to')) });
    await expect(end).rejects.toThrow('told to');
  });
});
