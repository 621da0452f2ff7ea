import type { BlockInfo, BlockStats, DomainJob, MemoryStats } from '@vmferry/api';
import type { DomainDefinition } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import type { Guest } from '@vmferry/guest';
import type { JobInfo } from '@vmferry/jobs';
import { residentKib } from '@vmferry/posix';
import type { BlockInfo as QemuDisk } from '@vmferry/qmp';
import type { Domain } from './domain.js';

/** The block statistics by target, as QEMU counts them. */
export function blockStatsOf(domain: Domain, principal: string): Promise<BlockStats> {
  return queried(domain, principal, async ({ qmp, definition }) => {
    const [disks, entries] = await Promise.all([qmp.execute('query-block', {}), qmp.execute('query-blockstats', {})]);
    return {
      disks: entries.map(({ qdev, 'node-name': node, stats }) => {
        const disk = disks.find((each) => each.qdev === qdev);
        return {
          target: disk === undefined ? (qdev ?? node ?? 'unknown') : targetOf(definition, disk),
          readBytes: stats.rd_bytes,
          readRequests: stats.rd_operations,
          writeBytes: stats.wr_bytes,
          writeRequests: stats.wr_operations,
          flushRequests: stats.flush_operations,
        };
      }),
    };
  });
}

/** Sizes of each disk that has a medium. What the file has is told by the node below the format's. */
export function blockInfoOf(domain: Domain, principal: string): Promise<BlockInfo> {
  return queried(domain, principal, async ({ qmp, definition }) => {
    const [disks, nodes] = await Promise.all([
      qmp.execute('query-block', {}),
      qmp.execute('query-named-block-nodes', { flat: true }),
    ]);
    return {
      disks: disks.flatMap((disk) => {
        const { inserted } = disk;
        if (inserted === undefined) return [];
        const file = nodes.find(({ file, drv }) => file === inserted.file && (drv === 'file' || drv === 'host_device'));
        return {
          target: targetOf(definition, disk),
          path: inserted.file,
          capacityBytes: inserted.image['virtual-size'],
          allocationBytes: file?.image['actual-size'] ?? null,
          physicalBytes: file?.image['virtual-size'] ?? null,
        };
      }),
    };
  });
}

const notAsked =
  "The guest's own figures (unused, available, faults, swap) come from a balloon driver that is polled, and it is not polled.";

export function memoryStatsOf(domain: Domain, principal: string): Promise<MemoryStats> {
  return queried(domain, principal, async ({ qmp, status }) => {
    const [given, balloon] = await Promise.all([qmp.execute('query-memory-size-summary', {}), balloonOf(qmp)]);
    const rssKib = residentKib(status.process.pid);
    if (rssKib === null) throw new VmferryError('guest-gone', `QEMU of domain ${domain.name} has ended.`);
    const maximumKib = (given['base-memory'] + (given['plugged-memory'] ?? 0)) / 1_024;
    const actualKib = balloon === null ? maximumKib : balloon / 1_024;
    return { actualKib, maximumKib, balloon: balloon !== null, rssKib, unknown: notAsked };
  });
}

/** Needs no monitor and no job: it is told whatever holds the domain. */
export function jobOf({ jobs }: Domain): DomainJob {
  return { current: reportOf(jobs.info()), last: jobs.last === null ? null : reportOf(jobs.last) };
}

/** A query runs beside any async job (S9). */
async function queried<T>(domain: Domain, principal: string, ask: (guest: Guest) => Promise<T>): Promise<T> {
  domain.activeGuest();
  const release = await domain.jobs.begin('query', principal);
  try {
    return await ask(domain.activeGuest());
  } finally {
    await release();
  }
}

/** The definition's name of a disk: by the id that our command line gives its device, else by its file. */
function targetOf({ devices }: DomainDefinition, { qdev, inserted, device }: QemuDisk): string {
  const disks = devices.filter((each) => each.t === 'disk');
  const known =
    disks.find(({ targetDev }) => qdev?.split('/').includes(`disk-${targetDev}`)) ??
    disks.find(({ source }) => source !== undefined && source === inserted?.file);
  return known?.targetDev ?? qdev ?? device;
}

/** Bytes; null when the guest has no balloon. */
async function balloonOf(qmp: Guest['qmp']): Promise<number | null> {
  try {
    return (await qmp.execute('query-balloon', {})).actual;
  } catch (thrown) {
    const { code, data } = VmferryError.from(thrown);
    if (code === 'monitor-failed' && (data.class === 'DeviceNotActive' || data.class === 'KVMMissingCap')) return null;
    throw thrown;
  }
}

function reportOf({ job, startedAt, timeElapsedMs, ...info }: JobInfo): DomainJob['current'] {
  return {
    ...info,
    kind: job,
    startedAt: startedAt?.toISOString() ?? null,
    timeElapsedMs: Math.round(timeElapsedMs),
  };
}
