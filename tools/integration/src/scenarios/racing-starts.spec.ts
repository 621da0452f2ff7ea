import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { AppProcess } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { untilSettled } from '../checks/resources.js';
import { eventually } from '../world/eventually.js';
import { migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { expectSecond } from './scenario.js';

const inWorld = sharedWorld();
const mode = 'p2p-direct';

/** Both agents of the target host know the domain, and one of them is slow in starting it. */
async function slowStarter(world: World, app: AppProcess, point: string): Promise<void> {
  await world.there.sourceClient().createDomain({ xml: world.xml });
  await world.arm(app, `${point}=delay:1500`);
}

async function untilMet(app: AppProcess, point: string): Promise<void> {
  await eventually(() => expect(app.lastLife()).toContain(`fault point ${point}: delay`));
}

describe('a guest is started on the host to which it is being migrated', () => {
  it.each(['D2', 'D4', 'D5', 'D7'])('the user starts it while Prepare is at %s: refused, and the migration goes on', (point) =>
    inWorld(async (world) => {
      await slowStarter(world, world.there.destination, point);
      const run = migrate(world, { mode });
      await untilMet(run.to.destination, point);
      const start = run.to.sourceClient().start(world.uuid);
      await expect(start).rejects.toMatchObject({ code: 'in-doubt', data: { migrationId: run.id } });
      await expectSettled(world, run, 'destination');
      expect(existsSync(join(run.to.stateDir, 'run', world.uuid, 'status.xml'))).toBe(true);
      await run.to.sourceClient().undefineDomain(world.uuid);
      await expectSecond(world, mode, false);
    }),
  );

  it('the user has begun to start it when Prepare comes: the migration fails, and each side keeps what is its own', () =>
    inWorld(async (world) => {
      await slowStarter(world, world.there.source, 'D4');
      const start = world.there.sourceClient().start(world.uuid, { force: true });
      const refused = expect(start, 'its disk is in use').rejects.toMatchObject({ code: 'domain-elsewhere' });
      await untilMet(world.there.source, 'D4');
      const run = migrate(world, { mode });
      await run.driven;
      expect(await untilSettled(run.from.sourceClient(), run.id)).toMatchObject({
        state: 'FAILED',
        error: { code: 'lease-busy' },
      });
      await refused;
      await run.to.sourceClient().undefineDomain(world.uuid);
      await expectSettled(world, run, 'source');
      await expectSecond(world, mode, false);
    }));
});
