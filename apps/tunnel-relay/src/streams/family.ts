import type { Membership, Stream } from './stream.js';

/**
 * The streams of one migration over several channels, QEMU's multifd. QEMU does not always notice that it has lost one: a channel that ends on
 * its unix socket looks to it like one that has nothing more to say. So when one stream fails, they all do.
 */
export class Family {
  /** That of its main stream. */
  readonly #id: string;
  readonly #channelsBesideMain: number;
  readonly #streams: Stream[] = [];
  #isLost = false;

  constructor(id: string, channelsBesideMain: number) {
    this.#id = id;
    this.#channelsBesideMain = channelsBesideMain;
  }

  /** The numbers of all its channels, from 0, the main one. */
  get channels(): readonly number[] {
    return Array.from({ length: this.#channelsBesideMain + 1 }, (_, channel) => channel);
  }

  member(channel: number): Membership {
    return { family: this.#id, channel, lost: (lost, reason) => this.#lose(lost, reason) };
  }

  add(stream: Stream): void {
    this.#streams.push(stream);
  }

  /** The first reason is told of all; one that has ended already stays as it ended. */
  #lose(channel: number, reason: string): void {
    if (this.#isLost) return;
    this.#isLost = true;
    for (const stream of this.#streams) stream.fail(`channel ${channel} of its family was lost: ${reason}`);
  }
}
