import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { linuxGuest } from './linux-guest.js';
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

async function start(name: string, memory: string, parameters: string, ...more: string[]): Promise<RawQemu> {
  const { kernelPath, initrdPath, cmdline } = await linuxGuest();
  const qemu = await RawQemu.start(join(folder, name), [
    ...['-m', memory, '-serial', `unix:${join(folder, 'serial')}`],
    ...['-kernel', kernelPath, '-initrd', initrdPath, '-append', `${cmdline} ${parameters}`, ...more],
  ]);
  running.push(qemu);
  return qemu;
}

describe('the Linux guest', () => {
  it('boots in 80 MiB, ticks without a gap on its own clock, and powers off at its button', async () => {
    const qemu = await start('monitor', '80M', '');
    const first = await serial.waitForTick(() => true, 25_000);
    const last = await serial.waitForTick(({ counter }) => counter === first.counter + 100, 25_000);
    expect(findBreak(serial.ticks)).toBeUndefined();
    expect(last.memory).toBe('unchecked');
    // A tick comes each 10 ms of the guest's clock or later, never sooner; so late that it is a whole tick the first one was not.
    expect((last.uptimeMs ?? 0) - (first.uptimeMs ?? 0)).toBeGreaterThan(990);
    await qemu.execute('system_powerdown');
    await once(qemu.child, 'exit');
  });

  it('goes on after a migration by QMP alone while it rewrites memory, its memory intact', async () => {
    const parameters = 'vmferry.fill=16 vmferry.dirty=4';
    const source = await start('source', '128M', parameters);
    await serial.waitForTick(({ counter }) => counter === 20, 25_000);
    const destination = await start('destination', '128M', parameters, '-incoming', 'defer', '-S');
    await migrateByQmpAlone(source, destination, join(folder, 'stream'));
    const arrived = await serial.waitForTick(({ connection }) => connection === 1, 25_000);
    const last = await serial.waitForTick(({ counter }) => counter === arrived.counter + 100, 25_000);
    expect(last.memory).toBe('ok');
    expect(findBreak(serial.ticks)).toBeUndefined();
  });
});
