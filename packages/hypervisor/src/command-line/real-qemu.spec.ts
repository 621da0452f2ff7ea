import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DomainDefinition } from '@vmferry/domain';
import { residentKib } from '@vmferry/posix';
import { systemClock } from '@vmferry/seams';
import { beforeAll, expect, test } from 'vitest';
import { kvmProbeImage } from '../kvm-probe-image.js';
import { logTail } from '../log-tail.js';
import { type Capabilities, probe } from '../probe.js';
import { isSameProcess } from '../process-identity.js';
import { connectForTest, launchForTest, nobody, runtimeFolder } from '../spec-helper.js';
import { commandLine } from './command-line.js';
import { ready, type Scenario, scenarioXml } from './spec-helper.js';

let capabilities: Capabilities;
beforeAll(async () => {
  capabilities = await probe({ clock: systemClock, kvm: true });
});

const diskBytes = 516_096;

/** What a boot loader looks for in a Linux kernel: enough to be loaded, never run. */
function kernelImage(): Buffer {
  const image = Buffer.alloc(65_536);
  image.writeUInt8(1, 0x1f1);
  image.write('HdrS', 0x202);
  image.writeUInt16LE(0x020a, 0x206);
  image.writeUInt8(1, 0x211);
  image.writeUInt32LE(0x37ff_ffff, 0x22c);
  return image;
}

/** Every file that a scenario names, QEMU's own to write. */
function guestFolder(): string {
  const folder = join(runtimeFolder(), 'f');
  mkdirSync(folder);
  const contents: Record<string, Buffer> = { vmlinuz: kernelImage(), initrd: Buffer.alloc(512), 'firmware.bin': kvmProbeImage() };
  for (const name of ['boot.img', 'read-only.img', 'sata.img', 'ide.img', 'cdrom.iso']) contents[name] = Buffer.alloc(diskBytes);
  for (const [name, bytes] of Object.entries(contents)) writeFileSync(join(folder, name), bytes);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', `${folder}/a,b=c "d".qcow2`, '1M']);
  for (const name of [...Object.keys(contents), 'a,b=c "d".qcow2', '']) chownSync(join(folder, name), nobody.uid, nobody.gid);
  chmodSync(join(folder, 'read-only.img'), 0o400);
  return folder;
}

async function start(definition: DomainDefinition, incoming: boolean) {
  const runtimeDir = runtimeFolder();
  const monitors = { source: join(runtimeDir, 's'), destination: join(runtimeDir, 'd') };
  const { argv } = commandLine(definition, { incoming, monitors, capabilities, spiceTlsDir: null, runtimeDir });
  const logPath = join(runtimeDir, 'log');
  const { identity, exited } = await launchForTest({ argv, logPath });
  return { monitors, logPath, identity, exited };
}

const started: Scenario[] = ['boot-sector', 'direct-kernel', 'full-q35', 'pc-ide', 'spice-qxl'];

test.each(started.flatMap((scenario) => [[scenario, false] as const, [scenario, true] as const]))(
  'the real QEMU takes the command line of %s (incoming: %s) and greets on both monitors',
  async (scenario, incoming) => {
    const folder = guestFolder();
    const definition = ready(scenarioXml(scenario, folder), capabilities.machineAliases);
    const { monitors, logPath, identity, exited } = await start(definition, incoming);
    const said = exited.then(async () => expect.fail(`QEMU ended: ${await logTail(logPath)}`));
    said.catch(() => undefined);
    const connecting = Promise.all([connectForTest(monitors.source), connectForTest(monitors.destination)]);
    const [source, destination] = await Promise.race([connecting, said]);
    expect((await source.execute('query-status', {})).status).toBe(incoming ? 'inmigrate' : 'prelaunch');
    expect((await destination.execute('query-name', {})).name).toBe(definition.name);
    expect((await destination.execute('query-uuid', {})).UUID).toBe(definition.uuid);
    expect((await source.execute('query-kvm', {})).enabled).toBe(false);
    expect(await source.execute('query-cpus-fast', {})).toHaveLength(definition.vcpus);
    if (definition.memoryAllocation === 'immediate') expect(residentKib(identity.pid)).toBeGreaterThan(definition.memoryKib);
    expect(readFileSync(`/proc/${identity.pid}/comm`, 'utf8')).toBe('qemu-system-x86\n');
    const nodes = await source.execute('query-named-block-nodes', { flat: true });
    for (const disk of definition.devices.filter((device) => device.t === 'disk')) {
      const node = nodes.find((each) => each['node-name'] === `disk-${disk.targetDev}-file`);
      expect(node?.file, disk.targetDev).toBe(disk.source);
      if (disk.source !== undefined) expect(node?.ro).toBe(disk.readonly);
    }
    await source.execute('quit', {});
    expect(await exited).toEqual({ code: 0, signal: null });
    const log = (await logTail(logPath)).split('\n').filter((line) => line !== '' && !line.startsWith('char device redirected'));
    expect(log.filter((line) => !line.startsWith('VNC server running'))).toEqual([]);
  },
);

test("the two monitors are QEMU's own, and closed to others", async () => {
  const definition = ready(scenarioXml('boot-sector', guestFolder()), capabilities.machineAliases);
  const { monitors } = await start(definition, false);
  await connectForTest(monitors.source);
  for (const path of Object.values(monitors)) {
    const { mode, uid } = statSync(path);
    expect(mode & 0o077).toBe(0);
    expect(uid).toBe(nobody.uid);
  }
});

test('a second start of a domain with a writable disk is refused by the image lock, a waiting one is not', async () => {
  const xml = scenarioXml('boot-sector', guestFolder())
    .replace('<shareable/>', '')
    .replace(/<serial[\s\S]*<\/serial>/, '');
  const definition = ready(xml, capabilities.machineAliases);
  const first = await start(definition, false);
  await connectForTest(first.monitors.source);
  const waiting = await start(definition, true);
  await connectForTest(waiting.monitors.destination);
  const second = await start(definition, false);
  expect((await second.exited).code).toBe(1);
  expect(await logTail(second.logPath)).toContain('Failed to get "write" lock');
});

/** A boot sector that asks ACPI for S5, where the firmware of q35 puts it: port 0x604. */
const powerOffProgram = Buffer.from('ba0406b80020eff4ebfd', 'hex');

test('a guest that powers off leaves a stopped QEMU that says so, until the agent acts', async () => {
  const folder = guestFolder();
  const image = Buffer.alloc(diskBytes);
  powerOffProgram.copy(image);
  image.writeUInt16LE(0xaa55, 510);
  writeFileSync(join(folder, 'boot.img'), image);
  const xml = scenarioXml('boot-sector', folder).replace('<devices>', '<features><acpi/></features><devices>');
  const { monitors, identity } = await start(ready(xml, capabilities.machineAliases), false);
  const qmp = await connectForTest(monitors.source);
  const shutdown = qmp.waitFor('SHUTDOWN', undefined, { deadlineMs: 20_000 });
  await qmp.execute('cont', {});
  expect((await shutdown).data).toEqual({ guest: true, reason: 'guest-shutdown' });
  expect(await qmp.execute('query-status', {})).toMatchObject({ running: false, status: 'shutdown' });
  expect(isSameProcess(identity)).toBe(true);
});

test('on_reboot destroy makes an end of a reset', async () => {
  const definition = ready(scenarioXml('direct-kernel', guestFolder()), capabilities.machineAliases);
  const { monitors } = await start(definition, false);
  const qmp = await connectForTest(monitors.source);
  const shutdown = qmp.waitFor('SHUTDOWN', undefined, { deadlineMs: 20_000 });
  await qmp.execute('cont', {});
  await qmp.execute('system_reset', {});
  await shutdown;
  expect((await qmp.execute('query-status', {})).running).toBe(false);
});
