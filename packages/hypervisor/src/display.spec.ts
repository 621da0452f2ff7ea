import { join } from 'node:path';
import type { GraphicsDevice } from '@vmferry/domain';
import { expect, it } from 'vitest';
import { displayPortsOf, relocateSpiceClients, setDisplayPassword, spiceClientsMoved } from './display.js';
import { connectForTest, launchForTest, runtimeFolder } from './spec-helper.js';

const display = (type: 'vnc' | 'spice', more: Partial<GraphicsDevice> = {}): GraphicsDevice => ({
  t: 'graphics',
  position: 0,
  type,
  port: -1,
  tlsPort: -1,
  autoport: true,
  ...more,
});

/** A real QEMU without a guest. */
async function monitorOf(...words: readonly string[]) {
  const path = join(runtimeFolder(), 'q');
  const argv = ['/usr/bin/qemu-system-x86_64', '-M', 'none', '-nodefaults', '-display', 'none', ...words];
  await launchForTest({ argv: [...argv, '-qmp', `unix:${path},server=on,wait=off`], logPath: `${path}.log` });
  return connectForTest(path);
}

it('S44: clients that were never told where to go are not taken for gone on', async () => {
  const qmp = await monitorOf('-spice', 'port=45960,addr=127.0.0.1,disable-ticketing=on,seamless-migration=on');
  await expect(spiceClientsMoved(qmp, 100)).rejects.toMatchObject({ code: 'monitor-timeout' });
  expect(await displayPortsOf(qmp, display('spice'))).toEqual({ port: 45_960, tlsPort: -1 });
  await relocateSpiceClients(qmp, { hostName: 'host-b', port: 5_900, tlsPort: -1 });
  await expect(spiceClientsMoved(qmp, 100)).rejects.toMatchObject({ code: 'monitor-timeout' });
});

it('S44: a QEMU without SPICE refuses to send clients on', async () => {
  const qmp = await monitorOf();
  const far = { hostName: 'host-b', port: 5_900, tlsPort: -1 };
  await expect(relocateSpiceClients(qmp, far)).rejects.toMatchObject({ code: 'monitor-failed' });
});

it('a password is set only where there is one, and QEMU says what it was refused for without showing it', async () => {
  const qmp = await monitorOf();
  await setDisplayPassword(qmp, display('vnc'));
  const refused = setDisplayPassword(qmp, display('vnc', { password: 'cAnary42' }));
  await expect(refused).rejects.toMatchObject({ code: 'monitor-failed' });
  await expect(refused).rejects.not.toThrow(/cAnary42/);
});
