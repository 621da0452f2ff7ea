import { findBreak, largestGapMs, type TickListener } from '@vmferry/guest-image';
import { type MigrationStatus, migrationStatus } from '@vmferry/hypervisor';
import { closeFd, pidfdOpen, waitPidfd } from '@vmferry/posix';
import { QmpClient } from '@vmferry/qmp';
import { systemClock } from '@vmferry/seams';
import { type AppFigures, measureApps } from './app-meter.js';
import type { Way } from './rig.js';

/** One migration in figures. */
export interface Measurement extends AppFigures {
  /** From the request, before the destination is spawned, until the source's QEMU has exited. */
  readonly cycleMs: number;
  /** From the request until whoever asked is told that it is over. */
  readonly toldMs: number;
  /** The largest gap between two ticks of the guest, from the request on; one tick comes every 10 ms. */
  readonly gapMs: number;
  /** QEMU's own figures. */
  readonly qemuTotalMs: number;
  readonly qemuDowntimeMs: number;
  readonly qemuSetupMs: number;
  /** What the source's QEMU has put on the stream for the guest's memory, and its passes over that memory. */
  readonly transferredBytes: number;
  readonly passes: number;
  /** Of the apps, or of the script: everything but QEMU. */
  readonly cpuSeconds: number;
}

/** The guest did not survive a migration that succeeded: under TCG that is QEMU's own (qemu-behaviour, "TCG guests"). */
export class GuestLost extends Error {}

/** Ticks that the guest is given before and after, so that it runs quietly; also after it, for gaps that come late. */
const quietTicks = 30;
const deadlineMs = 60_000;
/** A guest that has not ticked as often as that in this time does not run any more. */
const tickDeadlineMs = 20_000;

export async function measure(way: Way): Promise<Measurement> {
  const { rig } = way;
  await rig.wake();
  try {
    await someTicks(rig.ticks);
    const source = await rig.source();
    const { figures } = await watchFigures(source.spareMonitor);
    const cpuBefore = rig.cpuSeconds();
    const appFigures = measureApps(rig.apps());
    const pidfd = pidfdOpen(source.pid);
    const startedAt = performance.now();
    const gone = waitPidfd(pidfd, deadlineMs).then((ended) => (ended ? performance.now() : Number.NaN));
    await way.migrate(figures);
    const toldAt = performance.now();
    const goneAt = await gone;
    closeFd(pidfd);
    if (Number.isNaN(goneAt))
      throw new Error(`The source's QEMU ${source.pid} was still there ${deadlineMs} ms after the request.`);
    const cpuSeconds = rig.cpuSeconds() - cpuBefore;
    const apps = appFigures();
    await someTicks(rig.ticks);
    const broken = findBreak(rig.ticks.ticks.filter(({ atMs }) => atMs >= startedAt));
    if (broken !== undefined) throw new GuestLost(`the guest did not survive: ${broken}`);
    return {
      cycleMs: goneAt - startedAt,
      toldMs: toldAt - startedAt,
      gapMs: largestGapMs(rig.ticks.ticks.filter(({ atMs }) => atMs >= startedAt)),
      ...(await figures),
      cpuSeconds,
      ...apps,
    };
  } finally {
    await rig.rest();
  }
}

async function someTicks(listener: TickListener): Promise<void> {
  const wanted = listener.ticks.length + quietTicks;
  await listener
    .waitForTick(() => listener.ticks.length >= wanted, tickDeadlineMs)
    .catch((cause: unknown) => {
      throw new GuestLost('the guest has stopped to tick', { cause });
    });
}

type Figures = Pick<Measurement, 'qemuTotalMs' | 'qemuDowntimeMs' | 'qemuSetupMs' | 'transferredBytes' | 'passes'>;

/** Asks the source's QEMU on a monitor of its own as soon as it says `completed`: afterwards it is killed. The same for all ways. */
async function watchFigures(path: string): Promise<{ readonly figures: Promise<Figures> }> {
  const qmp = await QmpClient.connect({ path, clock: systemClock, deadlineMs });
  const figures = qmp
    .waitFor('MIGRATION', ({ data }) => data.status === 'completed', { deadlineMs })
    .then(() => finalStatus(qmp))
    .then(figuresOf)
    .finally(() => qmp.close());
  figures.catch(() => undefined);
  return { figures };
}

/** QEMU tells `completed` a moment before it adds up; until then the total is 0. */
async function finalStatus(qmp: QmpClient): Promise<MigrationStatus> {
  for (;;) {
    const status = await migrationStatus(qmp);
    if (status.totalTimeMs !== 0) return status;
  }
}

function figuresOf({ totalTimeMs, downtimeMs, setupTimeMs, ram }: MigrationStatus): Figures {
  if (totalTimeMs === undefined || downtimeMs === undefined || setupTimeMs === undefined || ram === undefined)
    throw new Error('QEMU gave no figures of its own.');
  const own = { qemuTotalMs: totalTimeMs, qemuDowntimeMs: downtimeMs, qemuSetupMs: setupTimeMs };
  return { ...own, transferredBytes: ram.transferredBytes, passes: ram.iteration };
}
