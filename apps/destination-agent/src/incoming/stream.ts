import { createHash, timingSafeEqual } from 'node:crypto';
import { formatTcpUri } from '@vmferry/api';
import type { RelayClient } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import { type Channel, connectLocalStream, type Guest } from '@vmferry/guest';
import { incomingFromFd, incomingFromPort } from '@vmferry/hypervisor';
import type { DestinationContext } from '../context.js';
import type { MigrationPorts } from './migration-ports.js';

/** Where the source is to bring the memory stream, as Prepare's cookie tells it. */
export interface StreamOffer {
  readonly url: string;
  /** Null where QEMU listens itself. */
  readonly ticket: string | null;
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

interface RelayStream {
  readonly client: RelayClient;
  readonly id: string;
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

/** The incoming end of a migration's memory stream: QEMU gets one connected socket by descriptor, or listens on a port of its own. */
export class IncomingStream {
  #offer: StreamOffer;
  #ticketDigest: Buffer | null;
  #channel: Channel | null;
  #relay: RelayStream | null;
  #taken: TakenPort | null = null;
  /** The connection is QEMU's alone, at this port of the host. */
  #ofQemu: { readonly guest: Guest; readonly port: number } | null = null;

  private constructor(offer: StreamOffer, channel: Channel | null, relay: RelayStream | null) {
    this.#offer = offer;
    this.#ticketDigest = relay === null && offer.ticket !== null ? digest(offer.ticket) : null;
    this.#channel = channel;
    this.#relay = relay;
  }

  get offer(): StreamOffer {
    return this.#offer;
  }

  /** Direct: the source upgrades an HTTP connection to this agent, with a ticket that counts once. */
  static direct(context: DestinationContext, id: string): IncomingStream {
    const offer = { url: `${context.publicUrl()}/v1/migrations/${id}/stream`, ticket: context.random.hex(32) };
    return new IncomingStream(offer, null, null);
  }

  /** Tunnelled: the relay of this host waits for its peer; this agent is connected to it on QEMU's behalf. */
  static async tunnelled(context: DestinationContext, id: string): Promise<IncomingStream> {
    const { relay } = context;
    if (relay === null)
      throw new VmferryError('invalid-argument', `The host ${context.host.hostName} has no tunnel relay; migrate directly.`);
    const expiresSeconds = Math.ceil(context.timers.attachMs / 1_000) + relayGraceSeconds;
    const stream = await relay.createStream({ role: 'destination', migrationId: id, expiresSeconds });
    if (stream.localSocket === null || stream.attachUrl === null || stream.ticket === null) {
      throw new VmferryError(
        'peer-nonsense',
        `The tunnel relay made stream ${stream.id} without a socket, an address or a ticket.`,
      );
    }
    const channel = await connectLocalStream(stream.localSocket, context.clock, relayDeadlineMs);
    return new IncomingStream({ url: stream.attachUrl, ticket: stream.ticket }, channel, { client: relay, id: stream.id });
  }

  /** By QEMU itself, on a migration port of this host. Throws `port-busy`. */
  static async listening({ ports }: DestinationContext, wish: TcpWish): Promise<IncomingStream> {
    const port = await ports.take(wish.port, wish.address);
    const stream = new IncomingStream({ url: formatTcpUri(wish.host, port), ticket: null }, null, null);
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
   * when QEMU has found the first one taken.
   */
  async connect(guest: Guest): Promise<void> {
    if (this.#taken !== null) await this.#listen(guest, this.#taken);
    if (this.#relay !== null && this.#channel !== null) await incomingFromFd(guest.qmp, this.#channel.fd, descriptorName);
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
    await incomingFromFd(guest.qmp, channel.fd, descriptorName);
    if (!o.tls) return;
    this.#ofQemu = { guest, port: o.port };
    channel.release();
    this.#channel = null;
  }

  /** How long nothing has come, in milliseconds; null before the first byte. */
  async silentMs(): Promise<number | null> {
    if (this.#relay !== null) return (await this.#relay.client.stream(this.#relay.id)).msSinceLastByte;
    if (this.#ofQemu !== null) return this.#ofQemu.guest.tcpSilentMs(this.#ofQemu.port);
    return this.#channel === null ? null : this.#channel.silentMs();
  }

  /** The guest has arrived: the agent's descriptor goes, the stream ends by itself. */
  release(): void {
    this.#channel?.release();
    this.#channel = null;
    this.#relay = null;
    this.#giveBackPort();
  }

  /** Shuts the connection for QEMU too and gives everything up; a ticket counts no more. */
  async close(): Promise<void> {
    this.#ticketDigest = null;
    this.#channel?.shut();
    this.#channel?.release();
    this.#channel = null;
    this.#giveBackPort();
    const relay = this.#relay;
    this.#relay = null;
    // The relay ends a stream by itself when its sockets are closed; a relay that is gone has none.
    await relay?.client.abortStream(relay.id).catch(() => undefined);
  }

  #giveBackPort(): void {
    this.#taken?.ports.giveBack(this.#taken.port);
    this.#taken = null;
  }
}

function digest(ticket: string): Buffer {
  return createHash('sha256').update(ticket, 'utf8').digest();
}
