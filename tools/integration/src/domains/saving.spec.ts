import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processesOf } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { expectTidy } from '../checks/expect-settled.js';
import { expectOneLife } from '../checks/life.js';
import { expectTold, marksOf } from '../checks/lifecycle.js';
import { eventually } from '../world/eventually.js';
import { canMount } from '../world/small-disk.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const inWorld = sharedWorld();
const client = ({ here }: World) => here.sourceClient();
const imageOf = (world: World, name = 'image') => join(world.folder, 'g', name);
const imagesIn = (world: World) => readdirSync(join(world.folder, 'g')).filter((name) => name.startsWith('image'));
const stateOf = async (world: World) => {
  const { state, reason, job, pid } = await client(world).domain(world.name);
  return [`${state}/${reason}`, job, pid === null ? 'inactive' : 'active'];
};

/** It goes on from where it was: its ticks are one life, and its memory is as it was. */
async function expectRuns(world: World, reason?: string): Promise<void> {
  await world.moreTicks();
  const [state] = await stateOf(world);
  expect(await stateOf(world)).toEqual([reason === undefined ? state : `running/${reason}`, null, 'active']);
  expectOneLife(world);
  await expectTidy(world, true);
}

/** At a rate at which it does not end by itself while a spec looks at it. */
const slow = { bandwidthMibPerSec: 1 } as const;

async function untilSaving(world: World): Promise<void> {
  await eventually(async () => expect((await client(world).job(world.name)).current).toMatchObject({ kind: 'save' }));
  await eventually(async () => expect((await client(world).job(world.name)).current.memory.processedBytes).toBeGreaterThan(0));
}

describe('save and restore', () => {
  it.each(['raw', 'gzip', 'bzip2', 'xz', 'lzop', 'zstd'] as const)(
    'S51, S52, S53: %s: the guest goes into a file and comes out of it as it was',
    (format) =>
      inWorld(async (world) => {
        const [marks, path] = [await marksOf(world), imageOf(world)];
        const saved = await client(world).save(world.name, { path, format });
        expect(saved).toEqual({ path, format, bytes: statSync(path).size });
        // S53: QEMU has it by its descriptor alone: nobody else is let in, and nothing is to be put back.
        expect([statSync(path).mode & 0o777, statSync(path).uid]).toEqual([0o600, process.getuid?.()]);
        expect(await stateOf(world)).toEqual(['shutoff/saved', null, 'inactive']);
        expect((await client(world).restore({ path })).state).toBe('running');
        await expectRuns(world, 'restored');
        await expectTold(world, marks, new Map([[world.here, ['suspended/paused', 'stopped/saved', 'started/restored']]]));
      }),
  );

  it('a guest that was paused comes back paused, and what is asked for counts more', () =>
    inWorld(async (world) => {
      const path = imageOf(world);
      await client(world).suspend(world.name);
      await client(world).save(world.name, { path });
      expect(await client(world).restore({ path })).toMatchObject({ state: 'paused', reason: 'user' });
      await client(world).save(world.name, { path, state: 'running' });
      expect((await client(world).restore({ path, state: 'paused' })).state).toBe('paused');
      await client(world).resume(world.name);
      await expectRuns(world, 'unpaused');
    }));

  it('with a definition that shows the guest the same machine; with any other it is refused and stays in its file', () =>
    inWorld(async (world) => {
      const path = imageOf(world);
      const { xml } = await client(world).domainXml(world.name);
      const other = xml.replace(/<vcpu[^>]*>1<\/vcpu>/, '<vcpu>2</vcpu>');
      await expect(client(world).save(world.name, { path, xml: other })).rejects.toMatchObject({ code: 'abi-mismatch' });
      await world.moreTicks();
      await client(world).save(world.name, { path });
      await expect(client(world).restore({ path, xml: other })).rejects.toMatchObject({ code: 'abi-mismatch' });
      expect(await stateOf(world)).toEqual(['shutoff/saved', null, 'inactive']);
      const changed = xml
        .replace('</domain>', '<on_reboot>destroy</on_reboot></domain>')
        .replace(/<on_reboot>restart<\/on_reboot>/, '');
      await client(world).restore({ path, xml: changed });
      expect((await client(world).domainXml(world.name)).xml).toContain('<on_reboot>destroy</on_reboot>');
      await expectRuns(world, 'restored');
    }));

  it('a managed image is used by the next start and gone before the guest runs; it can be removed, or passed over', () =>
    inWorld(async (world) => {
      const held = async () => (await client(world).domain(world.name)).managedSave;
      await client(world).managedSave(world.name);
      expect(await held()).toBe(true);
      await world.here.source.kill();
      await world.here.source.start();
      expect(await held()).toBe(true);
      await client(world).start(world.name);
      expect(await held()).toBe(false);
      await expectRuns(world, 'restored');
      for (const pass of ['removed', 'booted'] as const) {
        await client(world).managedSave(world.name);
        if (pass === 'removed') await client(world).removeManagedSave(world.name);
        await world.boot(pass === 'booted' ? { forceBoot: true } : {});
        expect([await held(), (await stateOf(world))[0]]).toEqual([false, 'running/booted']);
      }
    }));
});

describe('a dump', () => {
  it.each(['pause', 'live'] as const)('S54: by the engine of a save: %s: QEMU can read it, and the guest goes on', (mode) =>
    inWorld(async (world) => {
      const [before] = await stateOf(world);
      const path = imageOf(world, `image-dump-${mode}`);
      const dumped = await client(world).dump(world.name, { path, mode, format: 'gzip' });
      expect(dumped).toEqual({ path, kind: 'migration', format: 'gzip', bytes: statSync(path).size });
      const stream = execFileSync('gzip', ['-dc', path], { maxBuffer: 2 ** 30 });
      expect(stream.toString('latin1', 0, 4)).toBe('QEVM');
      await world.moreTicks();
      expect((await stateOf(world))[0]).toBe(mode === 'live' ? before : 'running/unpaused');
      expectOneLife(world);
      rmSync(path);
    }),
  );

  it('as an ELF core: the memory of the guest is in it, and nothing else of QEMU', () =>
    inWorld(async (world) => {
      const path = imageOf(world, 'image-core');
      expect(await client(world).dump(world.name, { path, kind: 'elf' })).toMatchObject({
        kind: 'elf',
        bytes: statSync(path).size,
      });
      const core = readFileSync(path);
      expect(core.subarray(0, 4)).toEqual(Buffer.from('\x7fELF', 'latin1'));
      // e_type of a core.
      expect(core.readUInt16LE(16)).toBe(4);
      expect(core.length).toBeGreaterThan(4_194_304);
      await world.moreTicks();
      rmSync(path);
    }));

  it('crash ends the guest as crashed, reset begins it anew', () =>
    inWorld(async (world) => {
      const [marks, path] = [await marksOf(world), imageOf(world, 'image-crash')];
      await client(world).dump(world.name, { path, mode: 'crash' });
      expect(await stateOf(world)).toEqual(['shutoff/crashed', null, 'inactive']);
      await expectTold(world, marks, new Map([[world.here, ['suspended/paused', 'stopped/crashed']]]));
      await world.boot();
      const reset = imageOf(world, 'image-reset');
      await client(world).dump(world.name, { path: reset, mode: 'reset' });
      expect((await stateOf(world))[0]).toBe('running/unpaused');
      for (const file of [path, reset]) rmSync(file);
      await client(world).destroy(world.name);
      await world.boot();
    }));
});

describe('where an image may be', () => {
  it.each<[string, (world: World) => string]>([
    ['in no folder', (world) => join(world.folder, 'g', 'nowhere', 'image')],
    ['where a folder is', (world) => join(world.folder, 'g')],
    ['where a disk is', (world) => world.diskPath],
    [
      'behind a link',
      (world) => {
        symlinkSync('/etc/hostname', imageOf(world, 'image-link'));
        return imageOf(world, 'image-link');
      },
    ],
  ])('not %s: nothing is written, and the guest never stopped', (_what, pathOf) =>
    inWorld(async (world) => {
      const path = pathOf(world);
      const before = existsSync(path) && statSync(path).isFile() ? readFileSync(path).length : null;
      await expect(client(world).save(world.name, { path })).rejects.toMatchObject({ code: 'image-path-refused' });
      await expectRuns(world);
      if (before !== null) expect(readFileSync(path).length).toBe(before);
    }),
  );
});

describe('a save that comes to nothing', () => {
  it.each(['raw', 'gzip'] as const)(
    'S38, S54: %s: is cancelled: the guest goes on, no file stays, and QEMU has its old limit again',
    (format) =>
      inWorld(async (world) => {
        const limit = async () =>
          (await client(world).monitorCommand(world.name, { execute: 'query-migrate-parameters' })).return as Record<
            string,
            unknown
          >;
        const { 'max-bandwidth': before } = await limit();
        const [marks, path] = [await marksOf(world), imageOf(world, 'image-cancelled')];
        const saving = client(world).save(world.name, { path, format, ...slow });
        saving.catch(() => undefined);
        await untilSaving(world);
        await client(world).abortJob(world.name);
        await expect(saving).rejects.toMatchObject({ code: 'save-cancelled' });
        expect((await client(world).job(world.name)).last).toMatchObject({ kind: 'save', type: 'cancelled' });
        expect(imagesIn(world).filter((name) => name.includes('cancelled'))).toEqual([]);
        await expectRuns(world, 'save canceled');
        expect((await limit())['max-bandwidth']).toBe(before);
        await expectTold(world, marks, new Map([[world.here, ['suspended/paused', 'resumed/unpaused']]]));
      }),
  );

  it('S52: its program is killed: that is what is told, and the guest goes on', () =>
    inWorld(async (world) => {
      const saving = client(world).save(world.name, { path: imageOf(world, 'image-killed'), format: 'gzip', ...slow });
      saving.catch(() => undefined);
      await untilSaving(world);
      const [gzip] = execFileSync('pgrep', ['-P', String(world.here.source.pid), '-x', 'gzip'], { encoding: 'utf8' })
        .trim()
        .split('\n');
      process.kill(Number(gzip), 'SIGKILL');
      await expect(saving).rejects.toMatchObject({
        code: 'save-failed',
        message: expect.stringMatching(/gzip ended by SIGKILL/),
      });
      await expectRuns(world, 'save canceled');
    }));

  it('its QEMU is killed: the guest is lost, and no half image stays for it', () =>
    inWorld(async (world) => {
      const saving = client(world).save(world.name, { path: imageOf(world, 'image-lost'), ...slow });
      saving.catch(() => undefined);
      await untilSaving(world);
      process.kill(await world.qemuOn(world.here), 'SIGKILL');
      await expect(saving).rejects.toMatchObject({ code: 'guest-gone' });
      await eventually(async () => expect(await stateOf(world)).toEqual(['shutoff/crashed', null, 'inactive']));
      expect(imagesIn(world).filter((name) => name.includes('lost'))).toEqual([]);
      await world.boot();
      await expectRuns(world, 'booted');
    }));

  it('the guest is destroyed meanwhile: it is gone, and so is the file', () =>
    inWorld(async (world) => {
      const saving = client(world).save(world.name, { path: imageOf(world, 'image-destroyed'), ...slow });
      saving.catch(() => undefined);
      await untilSaving(world);
      await client(world).destroy(world.name);
      await expect(saving).rejects.toMatchObject({ code: 'guest-gone' });
      expect(imagesIn(world).filter((name) => name.includes('destroyed'))).toEqual([]);
      await world.boot();
    }));

  it.each(['V1', 'V2', 'V3', 'V4'])('the agent is killed at %s: when it is back the guest goes on, and no file stays', (point) =>
    inWorld(async (world) => {
      const path = imageOf(world, 'image-torn');
      await world.arm(world.here.source, `${point}=kill`);
      await expect(client(world).save(world.name, { path })).rejects.toMatchObject({ code: 'peer-unreachable' });
      await world.here.source.exited;
      await world.here.source.start();
      await eventually(async () => expect((await stateOf(world))[0]).toBe('running/save canceled'));
      expect(imagesIn(world).filter((name) => name.includes('torn'))).toEqual([]);
      await expectRuns(world, 'save canceled');
    }),
  );

  it('the agent is killed when the image has its place: it has the guest, and QEMU is ended', () =>
    inWorld(async (world) => {
      const path = imageOf(world, 'image-whole');
      await world.arm(world.here.source, 'V5=kill');
      await expect(client(world).save(world.name, { path })).rejects.toMatchObject({ code: 'peer-unreachable' });
      await world.here.source.exited;
      await world.here.source.start();
      await eventually(async () => expect(await stateOf(world)).toEqual(['shutoff/saved', null, 'inactive']));
      expect(processesOf(world.uuid)).toEqual([]);
      await client(world).restore({ path });
      await expectRuns(world, 'restored');
    }));
});

describe('a restore that comes to nothing', () => {
  it.each(['W1', 'W2'])('the agent is killed at %s: the guest has not run, and its image has it', (point) =>
    inWorld(async (world) => {
      const path = imageOf(world);
      await client(world).save(world.name, { path });
      await world.arm(world.here.source, `${point}=kill`);
      await expect(client(world).restore({ path })).rejects.toMatchObject({ code: 'peer-unreachable' });
      await world.here.source.exited;
      await world.here.source.start();
      await eventually(async () => expect((await stateOf(world)).at(-1)).toBe('inactive'));
      expect(processesOf(world.uuid)).toEqual([]);
      await client(world).restore({ path });
      await expectRuns(world, 'restored');
    }),
  );

  it('the agent is killed before it lets a guest of a managed image run: it is in QEMU, paused, and goes on from there', () =>
    inWorld(async (world) => {
      await client(world).managedSave(world.name);
      await world.arm(world.here.source, 'W3=kill');
      await expect(client(world).start(world.name)).rejects.toMatchObject({ code: 'peer-unreachable' });
      await world.here.source.exited;
      await world.here.source.start();
      await eventually(async () => expect((await stateOf(world)).at(-1)).toBe('active'));
      expect(await client(world).domain(world.name)).toMatchObject({ state: 'paused', managedSave: false });
      await client(world).resume(world.name);
      await expectRuns(world, 'unpaused');
    }));

  it.each<[string, (good: Buffer) => Buffer, string]>([
    ['zeros', (good) => Buffer.alloc(good.length), 'save-image-invalid'],
    ['a definition of 2 GiB', (good) => withWord(good, 1, 2 ** 31), 'save-image-invalid'],
    [
      'an image that was not ended',
      (good) => Buffer.concat([Buffer.from('LibvirtQemudPart'), good.subarray(16)]),
      'save-image-incomplete',
    ],
    ['a stream that was cut off', (good) => good.subarray(0, good.length - 60_000), 'save-image-invalid'],
    ['a stream of zeros', (good) => Buffer.concat([good.subarray(0, 8_192), Buffer.alloc(good.length)]), 'save-image-invalid'],
    ['entities', (good) => withXml(good, (xml) => `<!DOCTYPE x [<!ENTITY a "b">]>${xml}`), 'xml-forbidden'],
    ['another type', (good) => withXml(good, (xml) => xml.replace(/type=['"]qemu['"]/, "type='lxc'")), 'domain-type-unexpected'],
  ])('%s is refused, and no domain is left behind', (_what, spoil, code) =>
    inWorld(async (world) => {
      const [path, bad] = [imageOf(world), imageOf(world, 'image-bad')];
      await client(world).save(world.name, { path });
      writeFileSync(bad, spoil(readFileSync(path)));
      await expect(client(world).restore({ path: bad })).rejects.toMatchObject({ code });
      expect((await client(world).domains()).domains.map(({ name }) => name)).toEqual([world.name]);
      expect([processesOf(world.uuid), (await stateOf(world)).at(-1)]).toEqual([[], 'inactive']);
      await client(world).restore({ path });
      await expectRuns(world, 'restored');
    }),
  );
});

function withWord(good: Buffer, index: number, value: number): Buffer {
  const bytes = Buffer.from(good);
  bytes.writeUInt32LE(value, 16 + 4 * index);
  return bytes;
}

/** The definition is changed in its place; there is room behind it. */
function withXml(good: Buffer, change: (xml: string) => string): Buffer {
  const bytes = Buffer.from(good);
  const end = bytes.indexOf(0, 92);
  const xml = change(bytes.toString('utf8', 92, end));
  bytes.write(`${xml}\0`, 92);
  return bytes;
}

const inSmallWorld = sharedWorld({ smallDisk: canMount });

describe.runIf(canMount)('a file system that is full', () => {
  it.each(['raw', 'gzip'] as const)('%s: the save fails by that name, the guest goes on, and no file stays', (format) =>
    inSmallWorld(async (world) => {
      const folder = join(world.diskPath, '..');
      await world.smallDisk?.fill();
      const saving = client(world).save(world.name, { path: join(folder, 'image'), format });
      await expect(saving).rejects.toMatchObject({
        code: 'save-failed',
        message: expect.stringMatching(/no space left on device/i),
      });
      expect(readdirSync(folder).filter((name) => name.startsWith('image'))).toEqual([]);
      await world.smallDisk?.free();
      await expectRuns(world, 'save canceled');
    }),
  );
});
