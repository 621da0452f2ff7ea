import type { Channel, Guest } from '@vmferry/guest';
import { migrateToFd } from '@vmferry/hypervisor';
import type { QmpClient } from '@vmferry/qmp';

const descriptorName = 'vmferry-migration';

/** What the memory of a guest goes out by. The agent keeps a hold on it, to shut it before it talks to the monitor (qemu-behaviour, rows F and H). */
export interface OutgoingChannel {
  /** Those of multifd beside the main one; null for one connection. */
  readonly channels: number | null;
  /** Tells QEMU to migrate by it. */
  migrate(qmp: QmpClient): Promise<void>;
  /** Ends it in both directions, for QEMU too. */
  shut(): void;
  /** Gives up the agent's own descriptors; QEMU's stay. */
  release(): void;
  /** What whoever carries it knows of its end besides, in a sentence; null when nobody does. */
  whyBroken(): Promise<string | null>;
}

/** Asks who carries a channel why it broke; never throws. */
export type WhyBroken = OutgoingChannel['whyBroken'];

/** One connection, which QEMU gets by descriptor. */
export function single(channel: Channel, guest: Pick<Guest, 'handed'>, whyBroken: WhyBroken): OutgoingChannel {
  return {
    whyBroken,
    channels: null,
    migrate: (qmp) => migrateToFd(qmp, guest.handed(channel, descriptorName)),
    shut: () => channel.shut(),
    release: () => channel.release(),
  };
}
