import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { processesOf } from '@vmferry/lab';
import { expect } from 'vitest';
import { auditOf } from '../checks/audit.js';
import { expectSettled, type Settled } from '../checks/expect-settled.js';
import { expectToldOf, marksOf } from '../checks/lifecycle.js';
import { untilSettled, untilStreaming } from '../checks/resources.js';
import { eventually } from '../world/eventually.js';
import { endless, type Mode, migrate } from '../world/run.js';
import type { World } from '../world/world.js';

/** A9: what is told on each host of a Finish that fails once the guest has stopped at the source. */
export const rolledBack = ['suspended/migrated', 'resumed/migrated'];
export const givenUp = ['started/migrated', 'stopped/failed'];

/**
 * S13: the destination cannot write the configuration that it is to keep. Finish fails by its own code, its QEMU is ended as failed, and the guest
 * runs on at the source; in either protocol, for no source is ended before its destination has committed.
 */
export async function expectPersistRefused(world: World, mode: Mode): Promise<Settled> {
  const marks = await marksOf(world);
  const run = migrate(world, { mode, flags: ['LIVE', 'PERSIST_DEST'], ...endless });
  await untilStreaming(run);
  const target = await world.incomingQemu();
  const domains = join(run.to.stateDir, 'domains');
  await rename(domains, `${domains}.aside`);
  await writeFile(domains, 'a file in the place of the folder');
  await run.from.sourceClient().setParameters(run.id, { bandwidthMibPerSec: 1_024, downtimeMsMax: 300 });
  await untilSettled(run.from.sourceClient(), run.id);
  await eventually(() => expect(processesOf(world.uuid), 'the guest runs on at the source alone').toHaveLength(1));
  await expectToldOf(world, marks, run, rolledBack, givenUp);
  expect(await auditOf(world, run.to, target)).toEqual(['start migrated', 'stop failed']);
  await rm(domains);
  await rename(`${domains}.aside`, domains);
  const settled = await expectSettled(world, run, 'source');
  expect(settled.destination?.error).toMatchObject({ code: 'persist-failed', side: 'destination', phase: 'finish' });
  return settled;
}
