import { createHash, timingSafeEqual } from 'node:crypto';
import { formatTcpUri } from '@vmferry/api';
import type { RelayClient } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import { type Channel, connectLocalStream, type Guest } from '@vmferry/guest';
import { incomingFromFd, incomingFromPort } from '@vmferry/hypervisor';
import type { DestinationContext } from '../context.js';
import { IncomingFamily } from './incoming-family.js';
import type { MigrationPorts } from './migration-ports.js';
import { silentMsOf } from './silence.js';

/** Where the source is to bring the memory stream, as Prepare's cookie tells it. */
export interface StreamOffer {
  readonly url: string;
  /** Null where QEMU listens itself. */
  readonly ticket: string | null;
  /** Channels beside the main one; only of a parallel migration. */
  readonly channels?: number;
}

/** Where a caller wants QEMU to listen for its guest. */
export interface TcpWish {
  /** What the source is to call this host. */
  readonly host: string;
  /** Null to have one picked. */
  readonly port: number | null;
  /** Of this host. */
  readonly address: string;
}

/** What of it is the relay's: its streams, the main one first. */
interface RelayStreams {
  readonly client: RelayClient;
  readonly ids: readonly string[];
}

/** A port of this host that QEMU listens on. */
interface TakenPort {
  readonly ports: MigrationPorts;
  readonly wish: TcpWish;
  readonly port: number;
}

const descriptorName = 'vmferry-incoming';
const relayDeadlineMs = 5_000;
/** The relay outwaits this agent's own timer, which knows why nothing came and gives the stream up by its code. */
const relayGraceSeconds = 10;
/** Another process can take a port between the agent's look and QEMU's own: so often the next one is tried. */
const portTriesMax = 8;

/**
 * The incoming end of a migration's memory stream: QEMU gets one connected socket by descriptor, or listens on a port of its own; of a parallel
 * migration it listens for several in its run folder.
 */
export class IncomingStream {
  #offer: StreamOffer;
  #ticketDigest: Buffer | null;
  #channel: Channel | null;
  readonly #family: IncomingFamily | null;
  #relay: RelayStreams | null;
  #taken: TakenPort | null = null;
  /** The connection is QEMU's alone, at this port of the host. */
  #ofQemu: { readonly guest: Guest; readonly port: number } | null = null;

  private constructor(
    offer: StreamOffer,
    o: { readonly channel?: Channel; readonly family?: IncomingFamily; readonly relay?: RelayStreams } = {},
  ) {
    this.#offer = offer;
    this.#channel = o.channel ?? null;
    this.#family = o.family ?? null;
    this.#relay = o.relay ?? null;
    this.#ticketDigest = this.#relay === null && offer.ticket !== null ? digest(offer.ticket) : null;
  }

  get offer(): StreamOffer {
    return this.#offer;
  }

  /** Direct: the source upgrades an HTTP connection to this agent, with a ticket that counts once. */
  static direct(context: DestinationContext, id: string): IncomingStream {
    const offer = { url: `${context.publicUrl()}/v1/migrations/${id}/stream`, ticket: context.random.hex(32) };
    return new IncomingStream(offer);
  }

  /**
   * Tunnelled: the relay of this host waits for its peer; this agent is connected to it on QEMU's behalf. With `channels` it is a family of so many
   * streams beside the main one.
   */
  static async tunnelled(context: DestinationContext, id: string, channels: number | null): Promise<IncomingStream> {
    const { relay: client, clock } = context;
    if (client === null)
      throw new VmferryError(
        'invalid-argument',
        `The host ${context.host.hostName} has no tunnel relay (--relay); migrate directly.`,
      );
    const expiresSeconds = Math.ceil(context.timers.attachMs / 1_000) + relayGraceSeconds;
    const parallel = channels === null ? {} : { channels };
    const stream = await client.createStream({ role: 'destination', migrationId: id, expiresSeconds, ...parallel });
    const all = [stream, ...stream.channels];
    const sockets = all.map(({ localSocket }) => localSocket);
    const isWhole = sockets.every((socket) => socket !== null) && sockets.length === 1 + (channels ?? 0);
    if (!isWhole || stream.attachUrl === null || stream.ticket === null) {
      throw new VmferryError(
        'peer-nonsense',
        `The tunnel relay made stream ${stream.id} without a socket, an address or a ticket.`,
      );
    }
    const offer = { url: stream.attachUrl, ticket: stream.ticket, ...parallel };
    const relay = { client, ids: all.map(({ id: streamId }) => streamId) };
    if (channels !== null)
      return new IncomingStream(offer, { family: await IncomingFamily.connect(context, sockets, relayDeadlineMs), relay });
    const channel = await connectLocalStream(sockets[0] ?? '', { clock, deadlineMs: relayDeadlineMs });
    return new IncomingStream(offer, { channel, relay });
  }

  /** By QEMU itself, on a migration port of this host. Throws `port-busy`. */
  static async listening({ ports }: DestinationContext, wish: TcpWish): Promise<IncomingStream> {
    const port = await ports.take(wish.port, wish.address);
    const stream = new IncomingStream({ url: formatTcpUri(wish.host, port), ticket: null });
    stream.#taken = { ports, wish, port };
    return stream;
  }

  /** After a restart of the agent: ends what an earlier life has opened for a migration at the relay of this host. */
  static async abandon({ relay, log }: DestinationContext, migrationId: string): Promise<void> {
    try {
      for (const stream of (await relay?.streams())?.streams ?? []) {
        if (stream.migrationId === migrationId && stream.role === 'destination') await relay?.abortStream(stream.id);
      }
    } catch (error) {
      // A relay that is gone has no streams, and one that does not answer ends them by its own timers.
      log.warn('the streams of an earlier life could not be ended', { migrationId, error });
    }
  }

  /**
   * Lets QEMU read from the relay, or listen; a direct stream is attached when the source brings it. The offer names another port than before
   * when QEMU has found the first one taken. `lost` is told of a channel of a parallel migration that is no more.
   */
  async connect(guest: Guest, lost: (detail: string) => void): Promise<void> {
    await this.#family?.connect(guest, async (channel) => this.#judge(channel, lost));
    if (this.#taken !== null) await this.#listen(guest, this.#taken);
    if (this.#relay !== null && this.#channel !== null)
      await incomingFromFd(guest.qmp, guest.handed(this.#channel, descriptorName));
  }

  async #listen(guest: Guest, { ports, wish }: TakenPort): Promise<void> {
    for (let tries = 1; this.#taken !== null; tries += 1) {
      const { port } = this.#taken;
      try {
        await incomingFromPort(guest.qmp, wish.address, port);
        this.#ofQemu = { guest, port };
        return;
      } catch (thrown) {
        if (!VmferryError.is(thrown, 'port-busy') || wish.port !== null || tries === portTriesMax) throw thrown;
      }
      // The next one is taken first, so that it is another.
      this.#taken = { ports, wish, port: await ports.take(null, wish.address) };
      ports.giveBack(port);
      this.#offer = { url: formatTcpUri(wish.host, this.#taken.port), ticket: null };
    }
  }

  /** Uses the ticket up, or throws `ticket-invalid`. A wrong ticket does not use up the right one. */
  redeem(ticket: string): void {
    const wanted = this.#ticketDigest;
    if (wanted === null || !timingSafeEqual(wanted, digest(ticket))) {
      throw new VmferryError('ticket-invalid', 'The ticket of this stream is wrong, was used, or its time is over.');
    }
    this.#ticketDigest = null;
  }

  /**
   * Hands the source's connection to QEMU (direct mode). With TLS this agent keeps no descriptor of it: a QEMU that refuses the certificate tells
   * that by closing the connection, and the source would not see it.
   */
  async attach(channel: Channel, guest: Guest, o: { readonly tls: boolean; readonly port: number }): Promise<void> {
    this.#channel = channel;
    await incomingFromFd(guest.qmp, guest.handed(channel, descriptorName));
    if (!o.tls) return;
    this.#ofQemu = { guest, port: o.port };
    channel.release();
    this.#channel = null;
  }

  /** How long nothing has come, in milliseconds; null before the first byte. */
  async silentMs(): Promise<number | null> {
    const relay = this.#relay;
    if (relay !== null) return silentMsOf(await Promise.all(relay.ids.map((id) => relay.client.stream(id))));
    if (this.#ofQemu !== null) return this.#ofQemu.guest.tcpSilentMs(this.#ofQemu.port);
    return this.#channel === null ? null : this.#channel.silentMs();
  }

  /** The guest has arrived: the agent's descriptor goes, the stream ends by itself. */
  release(): void {
    this.#channel?.release();
    this.#channel = null;
    this.#family?.release();
    this.#relay = null;
    this.#giveBackPort();
  }

  /** Shuts the connection for QEMU too and gives everything up; a ticket counts no more. */
  async close(): Promise<void> {
    this.#ticketDigest = null;
    this.#channel?.shut();
    this.#channel?.release();
    this.#channel = null;
    this.#family?.close();
    this.#giveBackPort();
    const relay = this.#relay;
    this.#relay = null;
    // The relay ends a stream by itself when its sockets are closed, and a family with its main stream; a relay that is gone has none.
    const [main = ''] = relay?.ids ?? [];
    await relay?.client.abortStream(main).catch(() => undefined);
  }

  /** A stream that ended as it should is for QEMU to judge, which knows whether the guest was complete. */
  async #judge(channel: number, lost: (detail: string) => void): Promise<void> {
    const relay = this.#relay;
    const id = relay?.ids[channel];
    if (relay === null || id === undefined) return;
    try {
      const { state, reason } = await relay.client.stream(id);
      if (state === 'failed') lost(`the stream broke: ${reason ?? 'the relay gives no reason'}`);
    } catch (thrown) {
      lost(`the tunnel relay lost the stream: ${VmferryError.from(thrown).message}`);
    }
  }

  #giveBackPort(): void {
    this.#taken?.ports.giveBack(this.#taken.port);
    this.#taken = null;
  }
}

function digest(ticket: string): Buffer {
  return createHash('sha256').update(ticket, 'utf8').digest();
}
