import type { BlockStats } from '@vmferry/api';
import type { Domain } from './domain.js';

/** The block statistics by target, as QEMU counts them. A query runs beside any async job (S9). */
export async function blockStatsOf(domain: Domain, principal: string): Promise<BlockStats> {
  const guest = domain.activeGuest();
  const release = await domain.jobs.begin('query', principal);
  try {
    const entries = await guest.qmp.execute('query-blockstats', {});
    return {
      disks: entries.map(({ qdev, 'node-name': node, stats }) => ({
        target: qdev ?? node ?? 'unknown',
        readBytes: stats.rd_bytes,
        readRequests: stats.rd_operations,
        writeBytes: stats.wr_bytes,
        writeRequests: stats.wr_operations,
        flushRequests: stats.flush_operations,
      })),
    };
  } finally {
    await release();
  }
}
