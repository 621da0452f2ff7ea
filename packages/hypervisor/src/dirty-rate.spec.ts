import { join } from 'node:path';
import { systemClock } from '@vmferry/seams';
import { expect, test } from 'vitest';
import { measureDirtyRate } from './dirty-rate.js';
import { bareArgv, connectForTest, launchForTest, runtimeFolder } from './spec-helper.js';

const capabilities = { commands: ['calc-dirty-rate', 'query-dirty-rate'] };

async function guestOf(mib: number) {
  const folder = runtimeFolder();
  const monitor = join(folder, 'm');
  await launchForTest({ argv: bareArgv(monitor, '-m', String(mib)), logPath: join(folder, 'log') });
  return connectForTest(monitor);
}

test('QEMU measures within a second or so, again and again, and the guest stays as it was', async () => {
  const qmp = await guestOf(160);
  await qmp.execute('cont', {});
  const startedMs = performance.now();
  for (let time = 0; time < 2; time += 1)
    expect(await measureDirtyRate(qmp, systemClock, { memoryKib: 160 * 1_024, capabilities })).toBeGreaterThanOrEqual(0);
  expect(performance.now() - startedMs).toBeLessThan(8_000);
  expect(await qmp.execute('query-status', {})).toMatchObject({ status: 'running' });
});

test('one that cannot be measured has no rate, instead of a wrong one', async () => {
  const qmp = await guestOf(64);
  const refused = { code: 'hypervisor-unsupported' };
  await expect(measureDirtyRate(qmp, systemClock, { memoryKib: 64 * 1_024, capabilities })).rejects.toMatchObject(refused);
  await expect(
    measureDirtyRate(qmp, systemClock, { memoryKib: 160 * 1_024, capabilities: { commands: [] } }),
  ).rejects.toMatchObject(refused);
  expect(await qmp.execute('query-dirty-rate', {})).toMatchObject({ status: 'unstarted' });
});
