import { env } from 'node:process';
import { DestinationAgentClient, ManagedMigration, SourceAgentClient } from '@vmferry/client';
import { type FaultPoints, faultPointsFrom, systemClock } from '@vmferry/seams';

/*
 * A client that drives one managed migration, told by its one argument (JSON). Around Prepare and Finish it has the fault points that the
 * source-agent has when it drives by itself.
 */

interface Request {
  readonly source: string;
  readonly destination: string;
  readonly id: string;
  readonly domain: string;
  readonly flags: readonly string[];
}

class FaultyDestination extends DestinationAgentClient {
  readonly #faults: FaultPoints;

  constructor(url: string, faults: FaultPoints) {
    super(url);
    this.#faults = faults;
  }

  override prepare(...args: Parameters<DestinationAgentClient['prepare']>) {
    return this.#between('S4', () => super.prepare(...args), 'S5');
  }

  override prepareTunnel(...args: Parameters<DestinationAgentClient['prepareTunnel']>) {
    return this.#between('S4', () => super.prepareTunnel(...args), 'S5');
  }

  override finish(...args: Parameters<DestinationAgentClient['finish']>) {
    return this.#between('S16', () => super.finish(...args), 'S17');
  }

  async #between<T>(before: string, act: () => Promise<T>, after: string): Promise<T> {
    await this.#faults(before);
    const answer = await act();
    await this.#faults(after);
    return answer;
  }
}

const request = JSON.parse(process.argv[2] ?? '') as Request; // Written by managed-process.ts.
const { source, destination, ...rest } = request;
const migration = new ManagedMigration({
  source: new SourceAgentClient(source),
  destination: new FaultyDestination(destination, faultPointsFrom(env.VMFERRY_FAULT)),
  request: rest,
  clock: systemClock,
  sessionTtlSeconds: 2,
});
const { outcome } = await migration.run();
process.exitCode = outcome === 'committed' ? 0 : 1;
