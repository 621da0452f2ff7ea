import { join } from 'node:path';
import { ChannelFamily, connectLocalStream, type Guest } from '@vmferry/guest';
import { incomingFromSocket } from '@vmferry/hypervisor';
import type { Clock } from '@vmferry/seams';
import type { DestinationContext } from '../context.js';

/**
 * The channels of a parallel migration at its destination: QEMU listens in its own run folder, and this agent connects to it for each stream of the
 * family. It is connected only when the peer of that stream is there, because a QEMU that waits for the first bytes of a channel does nothing
 * else; and in the order of the channels, because QEMU knows the main one by its being the first (7.2).
 */
export class IncomingFamily {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  #ended: (channel: number) => void = () => undefined;
  #family: ChannelFamily | null = null;

  private constructor(clock: Clock, deadlineMs: number) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
  }

  /** Throws `stream-failed` when a socket of the relay cannot be connected. */
  static async connect(
    { clock }: DestinationContext,
    localSockets: readonly (string | null)[],
    deadlineMs: number,
  ): Promise<IncomingFamily> {
    const made = new IncomingFamily(clock, deadlineMs);
    const paths = localSockets.filter((path) => path !== null);
    made.#family = await ChannelFamily.connect(paths, { clock, deadlineMs, ended: (channel) => made.#ended(channel) });
    return made;
  }

  /** Lets QEMU listen; the rest follows as the source attaches its channels. `ended` is told of each stream that is over, in whatever way. */
  async connect(guest: Guest, ended: (channel: number) => Promise<void>): Promise<void> {
    this.#ended = (channel) => void ended(channel);
    const path = join(guest.status.runtimeDir, 'in.mig');
    await incomingFromSocket(guest.qmp, path);
    void this.#connectAll(guest, path);
  }

  release(): void {
    this.#family?.release();
    this.#family = null;
  }

  /** Ends every connection, for QEMU too. */
  close(): void {
    this.#family?.shut();
    this.release();
  }

  async #connectAll(guest: Guest, path: string): Promise<void> {
    for (let channel = 0; channel < (this.#family?.size ?? 0); channel += 1) {
      try {
        await this.#family?.called(channel);
        const makeSocket = await guest.socketMaker('agent');
        const connection = await connectLocalStream(path, { clock: this.#clock, deadlineMs: this.#deadlineMs, makeSocket });
        if (this.#family !== null) {
          this.#family.give(channel, connection);
          continue;
        }
        connection.shut();
        connection.release();
        return;
      } catch {
        // Without its connection the stream fails, and its family with it: that is what is told.
        this.#family?.drop(channel);
        return;
      }
    }
  }
}
