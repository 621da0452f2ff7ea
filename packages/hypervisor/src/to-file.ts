import type { QmpClient } from '@vmferry/qmp';
import { bandwidthBytesPerSecMax, capabilitiesNeeded, multifd, setMigrationLimits } from './migration.js';
import { setMigrationTls } from './migration-tls.js';

/**
 * Readies a QEMU to write its memory to a file, or to read it from one: a file has no return path, one channel and no TLS, whatever an earlier migration has left
 * behind.
 */
export async function prepareForFile(qmp: QmpClient): Promise<void> {
  const has = await qmp.execute('query-migrate-capabilities', {});
  const knows = (name: string) => has.some(({ capability }) => capability === name);
  await qmp.execute('migrate-set-capabilities', {
    capabilities: [
      ...capabilitiesNeeded.map((capability) => ({ capability, state: capability !== 'return-path' })),
      ...(knows(multifd) ? [{ capability: multifd, state: false } as const] : []),
    ],
  });
  await setMigrationTls(qmp, null);
}

/**
 * Lets QEMU write as fast as it can, or at `bytesPerSec`, for as long as `act` lasts; then its old limit is back, whatever happened (libvirt-protocol, A10). Only a
 * QEMU that is gone has none to be set.
 */
export async function withFileBandwidth<T>(qmp: QmpClient, bytesPerSec: number | null, act: () => Promise<T>): Promise<T> {
  const { 'max-bandwidth': before } = await qmp.execute('query-migrate-parameters', {});
  await setMigrationLimits(qmp, { bandwidthBytesPerSec: bytesPerSec ?? bandwidthBytesPerSecMax });
  try {
    return await act();
  } finally {
    if (before !== undefined && !qmp.closed) {
      // The end of the save is what counts: QEMU is about to be ended, or is told its limit by the next migration.
      await qmp.execute('migrate-set-parameters', { 'max-bandwidth': before }).catch(() => undefined);
    }
  }
}
