import type { MigrationProgress } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { Channel } from '@vmferry/guest';
import {
  cancelMigration,
  type MigrationStatus,
  migrateToFd,
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

/** How QEMU's migration ended. */
export type TransferEnd =
  | { readonly t: 'completed' }
  | { readonly t: 'cancelled' }
  | { readonly t: 'failed'; readonly detail: string };

export interface TransferOptions {
  readonly qmp: QmpClient;
  readonly clock: Clock;
  readonly faults: FaultPoints;
  readonly log: Log;
  readonly bandwidthBytesPerSec: number | null;
  readonly downtimeMsMax: number;
  onProgress(progress: MigrationProgress): void;
}

const descriptorName = 'vmferry-migration';
/** The poll is for progress only; the end is QEMU's event (S40). */
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
  #channel: Channel | null = null;
  #bandwidthBytesPerSec: number | null;
  #over = false;
  #polling = false;
  #poll: Timer | null = null;

  constructor(options: TransferOptions) {
    this.#o = options;
    this.#bandwidthBytesPerSec = options.bandwidthBytesPerSec;
    this.#convergence = new Convergence(options.downtimeMsMax);
    this.end = new Promise((resolve) => {
      this.#resolveEnd = resolve;
    });
    options.qmp.on('MIGRATION', this.#onMigration);
    options.qmp.on('MIGRATION_PASS', this.#onPass);
    options.qmp.onClose(() => this.#finish({ t: 'failed', detail: 'QEMU ended during the migration' }));
  }

  /** Sets QEMU up and begins to send; SPICE clients will follow to `display`. Throws what QEMU answers; the channel is shut then. */
  async start(channel: Channel, display: SpiceServer | null): Promise<void> {
    const { qmp, faults } = this.#o;
    this.#channel = channel;
    try {
      await prepareMigration(qmp, {
        ...(this.#bandwidthBytesPerSec === null ? {} : { bandwidthBytesPerSec: this.#bandwidthBytesPerSec }),
        downtimeLimitMs: this.#convergence.limitMs,
      });
      await this.#relocate(display);
      await faults('S8');
      await migrateToFd(qmp, channel.fd, descriptorName);
      await faults('S9');
    } catch (thrown) {
      this.#finish({ t: 'failed', detail: VmferryError.from(thrown).message });
      throw thrown;
    }
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

  async steer(change: {
    readonly bandwidthBytesPerSec?: number | undefined;
    readonly downtimeMsMax?: number | undefined;
  }): Promise<void> {
    if (change.bandwidthBytesPerSec !== undefined) this.#bandwidthBytesPerSec = change.bandwidthBytesPerSec;
    if (change.downtimeMsMax !== undefined) this.#convergence.setMax(change.downtimeMsMax);
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

  /** At the end of a pass `remaining` is exact: that is when the limit is weighed. */
  #onPass = (): void => {
    this.#look(true);
  };

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
    this.#poll = this.#o.clock.after(pollMs, () => this.#look(false));
  }

  /** One look at a time, so that a slow monitor is not flooded. */
  #look(afterPass: boolean): void {
    if (this.#over || (this.#polling && !afterPass)) return;
    this.#polling = true;
    this.#measure(afterPass)
      // A failed look is no end: the monitor's own close is, and comes by itself.
      .catch(() => undefined)
      .finally(() => {
        this.#polling = false;
        if (!afterPass) this.#schedule();
      });
  }

  async #measure(afterPass: boolean): Promise<void> {
    const status = await migrationStatus(this.#o.qmp);
    if (this.#over) return;
    if (afterPass && status.ram !== undefined && this.#convergence.afterPass(status.ram.remainingBytes)) await this.steer({});
    this.#o.onProgress(this.#convergence.progressOf(status));
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
