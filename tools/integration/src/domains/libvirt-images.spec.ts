import { chmodSync, chownSync, copyFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expectOneLife } from '../checks/life.js';
import { Virsh } from '../world/libvirt.js';
import { sharedWorld } from '../world/with-world.js';

/*
 * A10 with the real libvirt of this Debian: what the one saves the other restores, and the guest never knows. libvirt runs unprivileged, so that disk and image are given to its user first.
 */

const inWorld = sharedWorld();
const nobody = 65_534;

async function withVirsh(act: (virsh: Virsh) => Promise<void>): Promise<void> {
  const virsh = Virsh.open();
  try {
    await act(virsh);
  } finally {
    await virsh.close();
  }
}

describe.runIf(process.getuid?.() === 0)('save images and libvirt', () => {
  it.each(['raw', 'gzip', 'xz', 'lzop', 'bzip2'] as const)(
    'A10: %s: libvirt reads what vmferry has saved, and its guest goes on',
    (format) =>
      inWorld(async (world) => {
        const path = join(world.folder, 'g', `ours-${format}`);
        await world.here.sourceClient().save(world.name, { path, format });
        const theirs = join(world.folder, 'g', 'theirs');
        copyFileSync(path, theirs);
        for (const file of [theirs, world.diskPath]) chownSync(file, nobody, nobody);
        await withVirsh(async (virsh) => {
          const xml = await virsh.tell(`save-image-dumpxml ${theirs}`);
          expect(xml).toContain(`<uuid>${world.uuid}</uuid>`);
          await virsh.tell(`restore ${theirs}`);
          await world.moreTicks();
          expectOneLife(world);
          await virsh.tell(`destroy ${world.name}`);
        });
        chownSync(world.diskPath, 0, 0);
        await world.boot();
      }),
  );

  it('A10: vmferry restores what libvirt has saved, and the guest goes on', () =>
    inWorld(async (world) => {
      await world.here.sourceClient().destroy(world.name);
      const path = join(world.folder, 'g', 'of-libvirt');
      chownSync(world.diskPath, nobody, nobody);
      chmodSync(join(world.folder, 'g'), 0o777);
      await withVirsh(async (virsh) => {
        const definition = join(virsh.folder, 'guest.xml');
        writeFileSync(definition, world.xml);
        await virsh.tell(`create ${definition}`);
        await world.moreTicks();
        await virsh.tell(`save ${world.name} ${path}`);
      });
      chmodSync(join(world.folder, 'g'), 0o711);
      chownSync(world.diskPath, 0, 0);
      expect(statSync(path).size).toBeGreaterThan(92);
      const restored = await world.here.sourceClient().restore({ path });
      expect(restored).toMatchObject({ uuid: world.uuid, state: 'running', reason: 'restored' });
      await world.moreTicks();
    }));
});
