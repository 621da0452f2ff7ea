import type { TickListener } from '@vmferry/guest-image';
import type { Apps } from './app-meter.js';

/** A running guest with whoever can migrate it. The rigs of one run have the same guest, and only one of them runs at a time. */
export interface Rig {
  /** The guest's ticks from wherever it runs, on one clock. */
  readonly ticks: TickListener;
  /** Lets the guest run while it is measured; the others stand still, so that they take no CPU. */
  wake(): Promise<void>;
  rest(): Promise<void>;
  /** The QEMU that runs the guest now, and a monitor on it that nobody uses. */
  source(): Promise<{ readonly pid: number; readonly spareMonitor: string }>;
  /** CPU seconds so far of everything but QEMU that takes part. */
  cpuSeconds(): number;
  /** The processes of vmferry that take part. */
  apps(): Apps;
  close(): Promise<void>;
}

/** One way to migrate the guest of a rig, to the other place and the next time back. */
export interface Way {
  readonly name: string;
  readonly rig: Rig;
  /**
   * Resolves when whoever asked is told that it is over. Throws when it failed: then there is nothing to measure. A way that ends
   * the source's QEMU itself does so only after `figures`, QEMU's own, have been read from it.
   */
  migrate(figures: Promise<unknown>): Promise<void>;
}
