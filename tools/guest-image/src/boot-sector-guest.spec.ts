import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bootSectorGuest, pageWritten } from './boot-sector-guest.js';
import { migrateByQmpAlone, RawQemu } from './raw-qemu.spec-helper.js';
import { listenForTicks, type TickListener } from './tick-listener.js';
import { findBreak } from './ticks.js';

let folder: string;
let serial: TickListener;
let running: RawQemu[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'guest-'));
  serial = await listenForTicks(join(folder, 'serial'));
  running = [];
});

afterEach(async () => {
  for (const qemu of running) await qemu.end();
  await serial.close();
  await rm(folder, { recursive: true });
});

async function start(name: string, diskPath: string, readonly: boolean, ...more: string[]): Promise<RawQemu> {
  const qemu = await RawQemu.start(join(folder, name), [
    ...['-m', '4M', '-serial', `unix:${join(folder, 'serial')}`],
    ...['-blockdev', JSON.stringify({ 'driver': 'file', 'node-name': 'disk', 'filename': diskPath, 'read-only': readonly })],
    ...['-device', 'virtio-blk-pci,drive=disk', ...more],
  ]);
  running.push(qemu);
  return qemu;
}

describe('the boot-sector guest', () => {
  it.each([true, false])('boots and ticks without a gap (writable: %s)', async (writable) => {
    const { diskPath, copyFor } = await bootSectorGuest({ writable });
    expect((await stat(diskPath)).size).toBe(516_096);
    await start('monitor', await copyFor(folder), !writable);
    const tick = await serial.waitForTick(({ pass }) => pass === 2, 20_000);
    expect(tick.counter).toBe(64);
    expect(serial.ticks[0]?.counter).toBe(1);
    expect(findBreak(serial.ticks)).toBeUndefined();
  });

  it('sleeps between its ticks', async () => {
    const { copyFor } = await bootSectorGuest({ writable: true });
    const { child } = await start('monitor', await copyFor(folder), false);
    const first = await serial.waitForTick(({ counter }) => counter === 50, 20_000);
    const before = await cpuMs(child.pid);
    const last = await serial.waitForTick(({ counter }) => counter === 250, 20_000);
    const share = ((await cpuMs(child.pid)) - before) / (last.atMs - first.atMs);
    expect(share).toBeLessThan(0.4);
  });

  it('finds one changed byte of its memory', async () => {
    const ram = join(folder, 'ram');
    const { copyFor } = await bootSectorGuest({ writable: true });
    const backend = `memory-backend-file,id=ram,size=4M,mem-path=${ram},share=on`;
    await start('monitor', await copyFor(folder), false, '-object', backend, '-machine', 'memory-backend=ram');
    await serial.waitForTick(({ pass }) => pass === 1, 20_000);
    expect(findBreak(serial.ticks)).toBeUndefined();
    const file = await open(ram, 'r+');
    const at = 0x6_7890;
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
    await file.write(Buffer.from([~buffer.readUInt8(0) & 0xff]), 0, 1, at);
    await file.close();
    const bad = await serial.waitForTick(({ memory }) => memory === 'bad', 20_000);
    await serial.waitForTick(({ counter, memory }) => counter > bad.counter + 40 && memory === 'bad', 20_000);
    expect(findBreak(serial.ticks)).toContain('found its memory changed');
  });

  it.each(['when it is told to', 'at the press of its power button'])('switches itself off %s', async (how) => {
    const { copyFor } = await bootSectorGuest({ writable: true });
    const qemu = await start('monitor', await copyFor(folder), false);
    await serial.waitForTick(({ counter }) => counter === 10, 20_000);
    serial.send('x');
    await serial.waitForTick(({ counter }) => counter === 20, 20_000);
    if (how === 'when it is told to') serial.send('q');
    else await qemu.execute('system_powerdown');
    if (qemu.child.exitCode === null) await once(qemu.child, 'exit');
    expect(qemu.child.exitCode).toBe(0);
  });

  it('writes to its disk when it is told to, and ticks on', async () => {
    const { copyFor } = await bootSectorGuest({ writable: true });
    const disk = await copyFor(folder);
    await start('monitor', disk, false);
    const before = await serial.waitForTick(({ counter }) => counter === 10, 20_000);
    serial.send('w');
    await expect.poll(() => pageWritten(disk), { timeout: 20_000 }).toBe(true);
    await serial.waitForTick(({ counter }) => counter === before.counter + 50, 20_000);
    expect(findBreak(serial.ticks)).toBeUndefined();
  });

  it('tells a pvpanic that it panics, and ticks on where there is none', async () => {
    const { copyFor } = await bootSectorGuest({ writable: true });
    const without = await start('without', await copyFor(folder), false);
    await serial.waitForTick(({ counter }) => counter === 10, 20_000);
    serial.send('p');
    await serial.waitForTick(({ counter }) => counter === 30, 20_000);
    await without.end();
    const qemu = await start('with', await copyFor(folder), false, '-device', 'pvpanic');
    await serial.waitForTick(({ connection, counter }) => connection === 1 && counter === 10, 20_000);
    serial.send('p');
    await qemu.event('GUEST_PANICKED');
  });

  it('goes on after a migration by QMP alone, its memory intact', async () => {
    const { copyFor } = await bootSectorGuest({ writable: true });
    const disk = await copyFor(folder);
    const source = await start('source', disk, false);
    await serial.waitForTick(({ pass }) => pass === 1, 20_000);
    const destination = await start('destination', disk, false, '-incoming', 'defer', '-S');
    await migrateByQmpAlone(source, destination, join(folder, 'stream'));
    const arrived = await serial.waitForTick(({ connection }) => connection === 1, 20_000);
    await serial.waitForTick(({ counter }) => counter === arrived.counter + 100, 20_000);
    expect(findBreak(serial.ticks)).toBeUndefined();
  });
});

/** User and system time of a process: fields 14 and 15 of its stat, in ticks of 10 ms. */
async function cpuMs(pid: number | undefined): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
