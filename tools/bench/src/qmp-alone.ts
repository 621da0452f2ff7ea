import { enableMigrationCapabilities } from '@vmferry/hypervisor';
import type { QmpClient } from '@vmferry/qmp';
import type { LoneQemu } from './lone-qemu.js';

const deadlineMs = 120_000;

/** How somebody migrates who has QMP and nothing else. */
export interface Operator {
  readonly transport: 'unix' | 'tcp';
  /** `careful`: what vmferry sets too. `defaults`: what QEMU does unless told otherwise. */
  readonly parameters: 'careful' | 'defaults';
}

/** Without a bandwidth of their own both take what they get; QEMU's default is 128 MiB/s. */
const bandwidthBytesPerSec = 2 ** 40;
const firstDowntimeLimitMs = 10;
/** A guest that dirties more than fits into the first limit is let go with libvirt's limit, after this many passes. */
const patientPasses = 5;
const lastDowntimeLimitMs = 300;

/** What the table says of the parameters. */
export const parametersInWords = {
  careful: `events, return-path, late-block-activate; max-bandwidth unlimited, downtime-limit ${firstDowntimeLimitMs} ms, ${lastDowntimeLimitMs} ms after ${patientPasses} passes`,
  defaults: 'events; max-bandwidth 128 MiB/s, downtime-limit 300 ms',
} as const;

/** One migration by QMP alone, from a destination that was just started to a guest that runs there; the source is left as it is. */
export async function migrateByQmpAlone(
  source: LoneQemu,
  destination: LoneQemu,
  { transport, parameters }: Operator,
): Promise<void> {
  if (parameters === 'careful') {
    await enableMigrationCapabilities(destination.qmp);
    await enableMigrationCapabilities(source.qmp);
    await source.qmp.execute('migrate-set-parameters', {
      'max-bandwidth': bandwidthBytesPerSec,
      'downtime-limit': firstDowntimeLimitMs,
    });
    loseSomePatience(source.qmp);
  } else {
    const capabilities = [{ capability: 'events' as const, state: true }];
    for (const { qmp } of [source, destination]) await qmp.execute('migrate-set-capabilities', { capabilities });
  }
  const completed = Promise.all([whenCompleted(source.qmp), whenCompleted(destination.qmp)]);
  completed.catch(() => undefined);
  const uri = await listen(destination, transport);
  await source.qmp.execute('migrate', { uri });
  await completed;
  await destination.qmp.execute('cont', {});
}

/** QEMU chooses the TCP port and tells it. */
async function listen({ qmp, folder }: LoneQemu, transport: Operator['transport']): Promise<string> {
  if (transport === 'unix') {
    const uri = `unix:${folder}/stream`;
    await qmp.execute('migrate-incoming', { uri });
    return uri;
  }
  await qmp.execute('migrate-incoming', { uri: 'tcp:127.0.0.1:0' });
  const address = (await qmp.execute('query-migrate', {}))['socket-address']?.[0];
  if (address?.type !== 'inet') throw new Error('QEMU does not say where it listens.');
  return `tcp:${address.host}:${address.port}`;
}

async function whenCompleted(qmp: QmpClient): Promise<void> {
  const ends = new Set(['completed', 'failed', 'cancelled']);
  const { data } = await qmp.waitFor('MIGRATION', (event) => ends.has(event.data.status), { deadlineMs });
  if (data.status !== 'completed') throw new Error(`A migration by QMP alone is ${data.status}.`);
}

function loseSomePatience(qmp: QmpClient): void {
  qmp.on('MIGRATION_PASS', ({ data }) => {
    if (data.pass !== patientPasses) return;
    // The migration may have completed meanwhile; then there is nothing to raise.
    qmp.execute('migrate-set-parameters', { 'downtime-limit': lastDowntimeLimitMs }).catch(() => undefined);
  });
}
