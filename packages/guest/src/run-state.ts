import { isLoaded } from '@vmferry/hypervisor';
import type { QmpClient } from '@vmferry/qmp';

/** Statuses that QEMU reaches only by having run (handover rule 3): they prove that `cont` took effect. */
const provesRunning = new Set(['running', 'shutdown', 'io-error', 'guest-panicked', 'watchdog', 'internal-error']);

/** What an incoming QEMU is, by its own word. */
export async function incomingStateOf(qmp: QmpClient, deadlineMs: number): Promise<'incoming' | 'loaded' | 'resumed'> {
  const { status } = await qmp.execute('query-status', {}, { deadlineMs });
  if (provesRunning.has(status)) return 'resumed';
  return (await isLoaded(qmp)) ? 'loaded' : 'incoming';
}
