import type { MigrationProgress, MigrationTimeouts } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import {
  bandwidthBytesPerSecMax,
  cancelMigration,
  type MigrationStatus,
  type MigrationTls,
  migrationStatus,
  prepareMigration,
  relocateSpiceClients,
  type SpiceServer,
  setMigrationLimits,
} from '@vmferry/hypervisor';
import type { QmpClient, QmpEvent } from '@vmferry/qmp';
import type { Clock, FaultPoints, Timer } from '@vmferry/seams';
import type { Log } from '@vmferry/service';
import { Convergence } from './convergence.js';
import type { OutgoingChannel } from './outgoing-channel.js';
import { type Overdue, Patience } from './patience.js';
import { Standstill, type Stuck } from './standstill.js';

/** How QEMU's migration ended. */
export type TransferEnd =
  | { readonly t: 'completed' }
  | { readonly t: 'cancelled' }
  /** `carrier`: what whoever carried the stream says of its end. */
  | { readonly t: 'failed'; readonly detail: string; readonly carrier?: string | null };

export interface TransferOptions {
  readonly qmp: QmpClient;
  readonly clock: Clock;
  readonly faults: FaultPoints;
  readonly log: Log;
  readonly bandwidthBytesPerSec: number | null;
  readonly downtimeMsMax: number;
  readonly timeouts: MigrationTimeouts;
  /** Of the guest, for the time that is given by its size. */
  readonly memoryKib: number;
  onProgress(progress: MigrationProgress): void;
  /** A time is over. Told again with the next look when what is to be done could not be done. */
  onOverdue(overdue: Overdue): Promise<void>;
  /** Nothing moves. Told again every two seconds for as long as that is so. */
  onStuck(stuck: Stuck): void;
}

/** The poll is for progress and the timeouts only; the end is QEMU's event (S40). */
const pollMs = 50;

/**
 * The memory transfer of one outgoing migration, as QEMU does it: begun, followed by events, steered and cancelled. QEMU stops the
 * guest itself; the downtime limit begins low and is raised by measurement (qemu-behaviour, "Let QEMU stop the guest").
 */
export class Transfer {
  readonly #o: TransferOptions;
  readonly #convergence: Convergence;
  /** Resolves when QEMU has reached a terminal status; never rejects. */
  readonly end: Promise<TransferEnd>;
  #resolveEnd: (end: TransferEnd) => void = () => undefined;
  #channel: OutgoingChannel | null = null;
  #bandwidthBytesPerSec: number | null;
  /** From QEMU's `migrate` on. */
  #patience: Patience | null = null;
  readonly #standstill: Standstill;
  #timeouts: MigrationTimeouts;
  #over = false;
  /** Looks are taken one after the other, so that a slow monitor is not flooded and what they tell never goes back. */
  #looking = false;
  #lookAgain = false;
  #acting = false;
  #poll: Timer | null = null;

  constructor(options: TransferOptions) {
    this.#o = options;
    this.#bandwidthBytesPerSec = options.bandwidthBytesPerSec;
    this.#convergence = new Convergence(options.downtimeMsMax);
    this.#timeouts = options.timeouts;
    this.#standstill = new Standstill(options.clock.monotonicMs());
    this.end = new Promise((resolve) => {
      this.#resolveEnd = resolve;
    });
    options.qmp.on('MIGRATION', this.#onMigration);
    options.qmp.on('MIGRATION_PASS', this.#onPass);
    options.qmp.onClose(() => this.#finish({ t: 'failed', detail: 'QEMU ended during the migration' }));
  }

  /** Sets QEMU up and begins to send; SPICE clients will follow to `display`. Throws what QEMU answers; the channel is shut then. */
  async start(
    channel: OutgoingChannel,
    { display, tls }: { readonly display: SpiceServer | null; readonly tls: MigrationTls | null },
  ): Promise<void> {
    const { qmp, faults } = this.#o;
    this.#channel = channel;
    try {
      await prepareMigration(qmp, {
        ...(this.#bandwidthBytesPerSec === null ? {} : { bandwidthBytesPerSec: this.#bandwidthBytesPerSec }),
        downtimeLimitMs: this.#convergence.limitMs,
        channels: channel.channels,
        tls,
      });
      await this.#relocate(display);
      await faults('S8');
      await channel.migrate(qmp);
      await faults('S9');
    } catch (thrown) {
      this.#finish({ t: 'failed', detail: VmferryError.from(thrown).message });
      throw thrown;
    }
    this.#patience = new Patience(this.#timeouts, this.#o.memoryKib, this.#o.clock.monotonicMs());
    this.#schedule();
  }

  /** S44: clients that cannot be sent on lose their picture, and the guest nothing. */
  async #relocate(display: SpiceServer | null): Promise<void> {
    if (display === null) return;
    await relocateSpiceClients(this.#o.qmp, display).catch((error: unknown) =>
      this.#o.log.warn('the SPICE clients of the guest cannot be sent to the destination', { ...display, error }),
    );
  }

  /** Follows a migration that an earlier life of the agent began; its end is known at once or comes as an event. */
  async follow(): Promise<void> {
    this.#judge(await migrationStatus(this.#o.qmp));
    this.#schedule();
  }

  /** The channel first, then the monitor (qemu-behaviour, rows F and H). The end is told by `end`. */
  async cancel(): Promise<void> {
    if (this.#over) return;
    this.#channel?.shut();
    await cancelMigration(this.#o.qmp);
    this.#judge(await migrationStatus(this.#o.qmp));
  }

  /**
   * Stops the guest, so that nothing is dirtied any more and what is left goes over: the bandwidth is raised first, for QEMU goes on
   * sending at its limit while the guest stands still (qemu-behaviour, T4). A migration that is over is left alone.
   */
  async pause(): Promise<void> {
    if (this.#over) return;
    await this.steer({ bandwidthBytesPerSec: bandwidthBytesPerSecMax });
    if (this.#over) return;
    await this.#o.qmp.execute('stop', {});
    this.#patience?.paused(this.#o.clock.monotonicMs());
  }

  async steer(change: {
    readonly bandwidthBytesPerSec?: number | undefined;
    readonly downtimeMsMax?: number | undefined;
    readonly timeouts?: MigrationTimeouts | undefined;
  }): Promise<void> {
    if (change.bandwidthBytesPerSec !== undefined) this.#bandwidthBytesPerSec = change.bandwidthBytesPerSec;
    if (change.downtimeMsMax !== undefined) this.#convergence.setMax(change.downtimeMsMax);
    if (change.timeouts !== undefined) {
      this.#timeouts = change.timeouts;
      this.#patience?.set(change.timeouts);
    }
    if (this.#over) return;
    await setMigrationLimits(this.#o.qmp, {
      downtimeLimitMs: this.#convergence.limitMs,
      ...(this.#bandwidthBytesPerSec === null ? {} : { bandwidthBytesPerSec: this.#bandwidthBytesPerSec }),
    });
  }

  #onMigration = ({ data: { status } }: QmpEvent<'MIGRATION'>): void => {
    if (status === 'active') void this.#o.faults('S10');
    if (status === 'completed') {
      this.#finish({ t: 'completed' });
      this.#reportLast();
    }
    if (status === 'failed' || status === 'cancelled') this.#askWhy();
  };

  /** At the beginning of a pass `remaining` is exact: that is when it is weighed. */
  #onPass = (): void => this.#look();

  /** The event has no reason; the status has. */
  #askWhy(): void {
    migrationStatus(this.#o.qmp).then(
      (status) => this.#judge(status),
      () => this.#finish({ t: 'failed', detail: 'QEMU ended during the migration' }),
    );
  }

  /** Ends on a terminal status; any other is none, and its end comes as an event. */
  #judge({ status, errorDesc }: MigrationStatus): void {
    if (status === 'completed') this.#finish({ t: 'completed' });
    if (status === 'cancelled') this.#finish({ t: 'cancelled' });
    if (status === 'failed') this.#finish({ t: 'failed', detail: errorDesc ?? 'QEMU gives no reason' });
    if (status === 'none') this.#finish({ t: 'failed', detail: 'QEMU knows of no migration' });
  }

  /** The figures of a migration that was over before the first poll; nobody waits for them. */
  #reportLast(): void {
    migrationStatus(this.#o.qmp).then(
      (status) => this.#o.onProgress(this.#convergence.progressOf(status)),
      () => undefined,
    );
  }

  #schedule(): void {
    if (this.#over) return;
    this.#poll?.cancel();
    this.#poll = this.#o.clock.after(pollMs, () => this.#look());
  }

  #look(): void {
    if (this.#over) return;
    this.#lookAgain = this.#looking;
    if (this.#looking) return;
    this.#looking = true;
    this.#measure()
      // A failed look is no end: the monitor's own close is, and comes by itself.
      .catch(() => undefined)
      .finally(() => {
        this.#looking = false;
        this.#weighTime();
        if (this.#lookAgain) this.#look();
        else this.#schedule();
      });
  }

  async #measure(): Promise<void> {
    const status = await migrationStatus(this.#o.qmp);
    if (this.#over) return;
    const nowMs = this.#o.clock.monotonicMs();
    const changed = this.#convergence.weigh(status, nowMs);
    this.#patience?.progressed(status.ram?.transferredBytes ?? 0, this.#convergence.converging, nowMs);
    this.#o.onProgress(this.#convergence.progressOf(status));
    if (changed) await this.steer({});
    await this.#weighStandstill(status);
  }

  async #weighStandstill({ ram }: MigrationStatus): Promise<void> {
    const ms = this.#standstill.note(ram?.transferredBytes ?? 0, this.#o.clock.monotonicMs());
    if (ms === null || this.#over) return;
    const { status } = await this.#o.qmp.execute('query-status', {});
    if (!this.#over) this.#o.onStuck({ ms, guestStopped: status === 'finish-migrate' });
  }

  /** Also after a look that failed: a monitor that does not answer stops no clock. */
  #weighTime(): void {
    const overdue = this.#over || this.#acting ? null : this.#patience?.overdue(this.#o.clock.monotonicMs());
    if (overdue == null) return;
    this.#acting = true;
    this.#o
      .onOverdue(overdue)
      // It is tried again with the next look.
      .catch(() => undefined)
      .finally(() => {
        this.#acting = false;
      });
  }

  #finish(end: TransferEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#poll?.cancel();
    this.#o.qmp.off('MIGRATION', this.#onMigration);
    this.#o.qmp.off('MIGRATION_PASS', this.#onPass);
    this.#channel?.release();
    this.#resolveEnd(end);
  }
}
