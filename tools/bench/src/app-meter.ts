import { watchGrowth } from './process-memory.js';
import { cpuSecondsOfAll } from './process-time.js';

/** The processes of a rig beside QEMU; none where QEMU is alone. */
export interface Apps {
  readonly relays: readonly number[];
  readonly agents: readonly number[];
}

/** What the apps took for one migration, from the request until the source's QEMU was gone. */
export interface AppFigures {
  /** User and system time of the relays of both ends together. */
  readonly relayCpuSeconds: number;
  readonly agentCpuSeconds: number;
  /** Of each relay: its largest resident memory during the migration less what it had before. */
  readonly relayGrowthMib: readonly number[];
}

/** Begins to measure; the function that is returned ends it. */
export function measureApps({ relays, agents }: Apps): () => AppFigures {
  const growths = relays.map(watchGrowth);
  const [relayBefore, agentBefore] = [cpuSecondsOfAll(relays), cpuSecondsOfAll(agents)];
  return () => ({
    relayCpuSeconds: cpuSecondsOfAll(relays) - relayBefore,
    agentCpuSeconds: cpuSecondsOfAll(agents) - agentBefore,
    relayGrowthMib: growths.map((growth) => growth()),
  });
}
