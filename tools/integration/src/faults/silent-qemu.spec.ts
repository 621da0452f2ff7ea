import { describe, expect, it } from 'vitest';
import { eventually } from '../world/eventually.js';
import { sharedWorld } from '../world/with-world.js';

const inWorld = sharedWorld();

describe('a QEMU that stands still while its agent is restarted', () => {
  it('keeps nobody waiting, is not taken for one that has ended, and is found again when it goes on', () =>
    inWorld(async (world) => {
      const { source } = world.here;
      const pid = await world.qemuOn(world.here);
      process.kill(pid, 'SIGSTOP');
      await world.arm(source, '');
      const client = world.here.sourceClient();
      expect(await client.domain(world.uuid)).toMatchObject({
        pid: null,
        warning: expect.stringContaining(String(pid)) as string,
      });
      await expect(client.start(world.uuid)).rejects.toMatchObject({ code: 'in-doubt' });
      process.kill(pid, 'SIGCONT');
      await eventually(async () =>
        expect(await client.domain(world.uuid)).toMatchObject({ state: 'running', pid, warning: null }),
      );
      await world.moreTicks();
    }));
});
