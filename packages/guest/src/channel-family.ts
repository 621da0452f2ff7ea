import type { Socket } from 'node:net';
import { VmferryError } from '@vmferry/errors';
import { descriptorOf, sendWithFd } from '@vmferry/posix';
import type { Clock } from '@vmferry/seams';
import { type Channel, connectUnix } from './channel.js';

/** What goes with a descriptor, which needs a byte to travel with. */
const cargo = new Uint8Array([1]);

/**
 * The agent's end of one stream of a family (the relay's README, Families): a connection over which the relay calls for a connection to QEMU, once
 * its peer is there. The relay pumps that one then, and closes this one when the stream is over: so QEMU is told by this agent also of a relay that
 * was killed, though the agent has kept a descriptor of the connection, to be able to shut it.
 */
class FamilyEnd {
  readonly #control: Socket;
  #given: Channel | null = null;
  /** Resolves when the relay calls. Rejects `stream-failed` when the stream ends before. */
  readonly called: Promise<void>;

  constructor(control: Socket, ended: () => void) {
    this.#control = control;
    // Its end is what `close` tells; a reset is one.
    control.on('error', () => undefined);
    this.called = new Promise((resolve, reject) => {
      control.once('data', () => resolve());
      control.once('close', () => reject(new VmferryError('stream-failed', 'The relay ended the stream before it began.')));
    });
    this.called.catch(() => undefined);
    control.once('close', () => {
      this.#given?.shut();
      ended();
    });
  }

  /** Hands the relay a connection whose other end is QEMU; the descriptor stays the caller's to shut and this family's to release. */
  give(channel: Channel): void {
    this.#given = channel;
    if (this.#control.destroyed) channel.shut();
    else sendWithFd(descriptorOf(this.#control), cargo, channel.fd);
  }

  shut(): void {
    this.#given?.shut();
  }

  /** A stream whose end was not handed over fails by it. */
  release(): void {
    this.#control.destroy();
    this.#given?.release();
  }
}

/** The agent's ends of all streams of a family, in the order of their channels: the main one first. */
export class ChannelFamily {
  readonly #ends: FamilyEnd[] = [];
  #released = false;

  /** Connects to the local socket of each stream. `ended` is told of each that is over, whatever the reason. Throws `stream-failed`. */
  static async connect(
    localSockets: readonly string[],
    o: { readonly clock: Clock; readonly deadlineMs: number; readonly ended?: (channel: number) => void },
  ): Promise<ChannelFamily> {
    const family = new ChannelFamily();
    try {
      for (const [channel, path] of localSockets.entries()) {
        const control = await connectUnix(path, o);
        family.#ends.push(new FamilyEnd(control, () => (family.#released ? undefined : o.ended?.(channel))));
      }
      return family;
    } catch (thrown) {
      family.release();
      throw thrown;
    }
  }

  get size(): number {
    return this.#ends.length;
  }

  /** Resolves when the relay calls for the end of this channel. Rejects `stream-failed`. */
  called(channel: number): Promise<void> {
    return this.#end(channel).called;
  }

  give(channel: number, connection: Channel): void {
    if (this.#released) {
      connection.shut();
      connection.release();
    } else this.#end(channel).give(connection);
  }

  /** The stream gets no connection: it fails by that, and its family with it. */
  drop(channel: number): void {
    this.#end(channel).release();
  }

  /** Ends every connection that was handed over, for QEMU too. */
  shut(): void {
    for (const end of this.#ends) end.shut();
  }

  /** Gives up the agent's own descriptors; QEMU's and the relay's stay. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    for (const end of this.#ends) end.release();
  }

  #end(channel: number): FamilyEnd {
    const end = this.#ends[channel];
    if (end === undefined) throw new VmferryError('internal', `The family has no channel ${channel}.`);
    return end;
  }
}
