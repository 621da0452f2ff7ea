import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Channel, ChannelFamily, type Guest } from '@vmferry/guest';
import { migrateToSocket } from '@vmferry/hypervisor';
import { checkUnixSocketPath, giveSocket } from '@vmferry/posix';
import type { QmpClient } from '@vmferry/qmp';
import type { Log } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { OutgoingChannel, WhyBroken } from './outgoing-channel.js';

const connectDeadlineMs = 10_000;

/** In the guest's run folder, which is its QEMU's alone. */
const socketOf = (guest: Guest): string => join(guest.status.runtimeDir, 'out.mig');

/** An agent that was killed while QEMU had still to connect leaves the socket behind. */
export function forgetSocket(guest: Guest): Promise<void> {
  return rm(socketOf(guest), { force: true });
}

/**
 * The channels of a parallel migration. QEMU makes the connections of multifd itself, so this agent listens for them on a unix socket that only that QEMU
 * reaches, and hands each to the stream of its turn: the first is the main one, of the others each says by itself which it is.
 */
export class ParallelChannel implements OutgoingChannel {
  readonly #path: string;
  readonly #family: ChannelFamily;
  readonly #log: Log;
  readonly #server: Server;
  readonly whyBroken: WhyBroken;
  #accepted = 0;
  #isOver = false;

  private constructor(path: string, family: ChannelFamily, log: Log, whyBroken: WhyBroken) {
    this.#path = path;
    this.#family = family;
    this.#log = log;
    this.whyBroken = whyBroken;
    this.#server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  /** Throws `stream-failed` when the relay's sockets cannot be connected; nothing is left then. */
  static async open(
    { clock, log, guestHost }: SourceContext,
    guest: Guest,
    localSockets: readonly string[],
    whyBroken: WhyBroken,
  ): Promise<ParallelChannel> {
    const family = await ChannelFamily.connect(localSockets, { clock, deadlineMs: connectDeadlineMs });
    const channel = new ParallelChannel(socketOf(guest), family, log, whyBroken);
    // What still waits for its call then is told that its stream is over.
    const timer = clock.after(connectDeadlineMs, () => channel.release());
    try {
      checkUnixSocketPath(channel.#path);
      await forgetSocket(guest);
      (await guest.socketMaker('agent'))(() => channel.#server.listen({ path: channel.#path, backlog: family.size }));
      await once(channel.#server, 'listening');
      if (guestHost.qemuUser !== null) giveSocket(channel.#path, guestHost.qemuUser);
      // A guest whose memory waits for its channels is tracked meanwhile, and what it writes is sent again.
      for (let turn = 0; turn < family.size; turn += 1) await family.called(turn);
      return channel;
    } catch (thrown) {
      channel.release();
      throw thrown;
    } finally {
      timer.cancel();
    }
  }

  get channels(): number {
    return this.#family.size - 1;
  }

  migrate(qmp: QmpClient): Promise<void> {
    return migrateToSocket(qmp, this.#path);
  }

  shut(): void {
    this.#isOver = true;
    this.#server.close();
    this.#family.shut();
  }

  release(): void {
    this.shut();
    this.#family.release();
  }

  #accept(socket: Socket): void {
    if (this.#isOver || this.#accepted === this.#family.size) {
      socket.destroy();
      return;
    }
    const turn = this.#accepted;
    this.#accepted += 1;
    // Closing unlinks the socket: nobody else is waited for.
    if (this.#accepted === this.#family.size) this.#server.close();
    this.#handOver(turn, Channel.of(socket)).catch((error: unknown) =>
      this.#log.warn('a channel could not be handed to its stream; QEMU sees its end', { channel: turn, error }),
    );
  }

  async #handOver(turn: number, connection: Channel): Promise<void> {
    try {
      await this.#family.called(turn);
      this.#family.give(turn, connection);
    } catch (thrown) {
      connection.shut();
      connection.release();
      throw thrown;
    }
  }
}
