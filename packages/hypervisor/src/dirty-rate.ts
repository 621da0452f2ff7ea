import { VmferryError } from '@vmferry/errors';
import type { QmpClient } from '@vmferry/qmp';
import { type Clock, sleep } from '@vmferry/seams';
import type { Capabilities } from './probe.js';

const measureSeconds = 1;
/** QEMU may be late with its answer, never by as much as this. */
const patienceMs = 3_000;
const pollMs = 100;
/** Per GiB, QEMU's maximum: 16 MiB of each GiB are read twice, by a thread of QEMU's own while the guest runs on. */
const samplePages = 4_096;
/** QEMU does not look at smaller blocks of memory, and says 0 then. */
const blockKibMin = 131_072;

/**
 * How many bytes per second the guest writes anew, as QEMU measures it within a second by comparing samples; the guest is not slowed and
 * nothing is left behind. Throws `hypervisor-unsupported` when this QEMU cannot, or cannot for this guest; `monitor-timeout` when it
 * does not come to an end.
 */
export async function measureDirtyRate(
  qmp: QmpClient,
  clock: Clock,
  guest: { readonly memoryKib: number; readonly capabilities: Pick<Capabilities, 'commands'> },
): Promise<number> {
  if (!guest.capabilities.commands.includes('calc-dirty-rate'))
    throw new VmferryError('hypervisor-unsupported', 'This QEMU does not measure the dirty rate.');
  if (guest.memoryKib < blockKibMin)
    throw new VmferryError(
      'hypervisor-unsupported',
      `QEMU does not measure the dirty rate of a guest of less than ${blockKibMin / 1_024} MiB.`,
    );
  await qmp.execute('calc-dirty-rate', { 'calc-time': measureSeconds, 'sample-pages': samplePages });
  const endMs = clock.monotonicMs() + measureSeconds * 1_000 + patienceMs;
  while (clock.monotonicMs() < endMs) {
    await sleep(clock, pollMs);
    const { status, 'dirty-rate': mibPerSec } = await qmp.execute('query-dirty-rate', {});
    if (status === 'measured' && mibPerSec !== undefined && mibPerSec >= 0) return mibPerSec * 1_048_576;
  }
  throw new VmferryError(
    'monitor-timeout',
    `QEMU has not measured the dirty rate within ${measureSeconds * 1_000 + patienceMs} ms.`,
  );
}
