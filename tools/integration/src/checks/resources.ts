import type { MigrationResource } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { systemClock } from '@vmferry/seams';
import { settleMs } from '../world/eventually.js';
import type { Run } from '../world/run.js';

/** A migration as one of its agents tells it; null when that agent never heard of it. */
export type Told = MigrationResource | null;

interface Agent {
  migration(id: string, wait?: { afterGeneration?: number; timeoutSeconds?: number }): Promise<MigrationResource>;
}

/** Long-polls until the migration is over or held, for at most 60 s (I11). */
export async function untilSettled(agent: Agent, id: string): Promise<Told> {
  const endMs = systemClock.monotonicMs() + settleMs;
  let told = await toldBy(agent, id);
  while (told !== null && told.finishedAt === null && told.held === null) {
    const leftMs = endMs - systemClock.monotonicMs();
    if (leftMs <= 0) throw new Error(`I11: migration ${id} has not settled on the ${told.side}: ${JSON.stringify(told)}`);
    const wait = { afterGeneration: told.generation, timeoutSeconds: Math.ceil(Math.min(leftMs, 10_000) / 1_000) };
    told = await agent.migration(id, wait);
  }
  return told;
}

/** Waits until the source tells something that `accept` takes; the resource is there as soon as Begin is over. */
export async function untilSource(run: Run, accept: (told: MigrationResource) => boolean): Promise<MigrationResource> {
  const agent = run.from.sourceClient();
  const endMs = systemClock.monotonicMs() + settleMs;
  let told = await toldBy(agent, run.id);
  while (told === null || !accept(told)) {
    if (systemClock.monotonicMs() > endMs)
      throw new Error(`waited in vain for a state of migration ${run.id}: ${JSON.stringify(told)}`);
    if (told !== null && told.finishedAt !== null) throw new Error(`migration ${run.id} is over: ${JSON.stringify(told)}`);
    if (told === null) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      told = await toldBy(agent, run.id);
    } else told = await agent.migration(run.id, { afterGeneration: told.generation, timeoutSeconds: 5 });
  }
  return told;
}

/** Waits until memory goes over. */
export const untilStreaming = (run: Run) => untilSource(run, ({ progress }) => (progress?.memory.processedBytes ?? 0) > 0);

async function toldBy(agent: Agent, id: string): Promise<Told> {
  try {
    return await agent.migration(id);
  } catch (thrown) {
    if (VmferryError.is(thrown, 'migration-not-found')) return null;
    throw thrown;
  }
}
