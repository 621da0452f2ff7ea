import { chmodSync, lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { CreatedStream, createStream, z } from '@vmferry/api';
import { openStream } from '@vmferry/client';
import { type ErrorCode, VmferryError } from '@vmferry/errors';
import { detachSocket, resetOnClose, takeHandle } from '@vmferry/posix';
import type { Clock, FaultPoints, Random } from '@vmferry/seams';
import type { Log } from '@vmferry/service';
import type { TlsIdentity, TlsPem } from '@vmferry/tls';
import { Bandwidth, prepareWorkers, type TlsSession } from '../pump/index.js';
import { Family } from './family.js';
import { Pacing } from './pacing.js';
import { bytesPerMib, type Membership, Stream, type StreamTimers } from './stream.js';
import { channelSecret, Ticket } from './ticket.js';
import { sessionAfter } from './tls-admission.js';

type CreateStream = z.output<typeof createStream>;
type Admission = { readonly ticket: Ticket; readonly expiresMs: number };

export interface StreamsOptions {
  readonly runtimeDir: string;
  readonly timers: StreamTimers;
  /** What all streams together may move in each direction; 0 is no cap. */
  readonly bandwidthMibPerSec: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: FaultPoints;
  readonly log: Log;
  /** Who this relay is to its peers; null when streams are not encrypted. */
  readonly tls: TlsIdentity | null;
}

/** What all streams have moved since the relay began, those included that are no longer listed. */
export interface StreamTotals {
  bytesToPeer: number;
  bytesFromPeer: number;
  spliceCalls: number;
  stalls: number;
  closed: number;
  failed: number;
}

const openMax = 64;
const finishedMax = 1_000;
const connectMs = 10_000;
const shuttingDown = 'the relay is shutting down';
/** A peer host that vanished is noticed by probes: they begin after this long without a byte, and ten a second apart decide. */
const keepAliveMs = 15_000;

/** The streams of a relay: at most 64 open ones, and the last 1,000 finished ones for whoever asks how they ended. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #folder: string;
  readonly #bandwidth = new Bandwidth();
  readonly #streams = new Map<string, Stream>();
  readonly #dropped: StreamTotals = {
    bytesToPeer: 0,
    bytesFromPeer: 0,
    spliceCalls: 0,
    stalls: 0,
    closed: 0,
    failed: 0,
  };
  /** Places are taken before the first await, so that many requests at once cannot exceed the bound. */
  #openCount = 0;
  #isDraining = false;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#bandwidth.limit(options.bandwidthMibPerSec * bytesPerMib);
    this.#folder = privateFolder(join(options.runtimeDir, 'streams'));
  }

  /**
   * Opens a stream, or with `channels` a family of them. A `destination` waits for its peer with the ticket in the answer; a `source` has its
   * peer's acceptance, or throws why not ('ticket-invalid', 'stream-not-found', 'peer-unreachable', 'peer-nonsense', else 'stream-failed').
   */
  async create(request: CreateStream, publicUrl: string, signal: AbortSignal): Promise<CreatedStream> {
    const { channels } = request;
    const count = 1 + (channels ?? 0);
    if (this.#openCount + count > openMax) {
      throw new VmferryError(
        'too-many-requests',
        `At most ${openMax} streams are open at the relay ${publicUrl}; end one or wait for one to end.`,
      );
    }
    this.#openCount += count;
    prepareWorkers(count);
    const family = channels === undefined ? null : new Family(this.#options.random.uuid(), channels);
    try {
      return request.role === 'source'
        ? await this.#goToPeer(request, family, publicUrl, signal)
        : await this.#awaitPeer(request, family, publicUrl);
    } catch (thrown) {
      this.#openCount -= count;
      throw thrown;
    }
  }

  /** Throws 'stream-not-found'. */
  get(id: string): Stream {
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new VmferryError('stream-not-found', `There is no stream ${id.slice(0, 64)} at this relay.`);
    return stream;
  }

  /** The stream that a peer attaches: `id` itself, or of the family of that main stream the one that the channel's header names. Throws 'stream-not-found'. */
  attachable(id: string, channel: string): Stream {
    const main = this.get(id);
    if (channel === '' && main.membership === null) return main;
    const found = this.list().find(({ membership }) => membership?.family === id && String(membership.channel) === channel);
    if (found !== undefined) return found;
    throw new VmferryError('stream-not-found', `The stream ${id} has no channel ${channel.slice(0, 8) || 'without a number'}.`);
  }

  list(): readonly Stream[] {
    return [...this.#streams.values()];
  }

  totals(): StreamTotals {
    const totals = { ...this.#dropped };
    for (const stream of this.#streams.values()) addTo(totals, stream);
    return totals;
  }

  /** When every stream is over: nobody else needs the folder of their sockets. One in which something lies stays. */
  removeFolder(): void {
    try {
      rmdirSync(this.#folder);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException; // rmdir throws nothing else
      if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error;
    }
  }

  /**
   * Ends what is not streaming at once, and what streams after `graceMs` or when `hurry` is aborted; resolves when every descriptor
   * is closed. From now on no stream is opened, a creation that is under way among them.
   */
  async drain(graceMs: number, hurry: AbortSignal): Promise<void> {
    this.#isDraining = true;
    const open = this.list().filter((stream) => !stream.isOver);
    const cut = (reason: string) => {
      for (const stream of open) stream.fail(reason);
    };
    for (const stream of open) if (stream.state !== 'streaming') stream.fail(shuttingDown);
    const timer = this.#options.clock.after(graceMs, () =>
      cut(`${shuttingDown} and the stream did not end within ${graceMs} ms`),
    );
    const hurried = () => cut(`${shuttingDown} and was told a second time not to wait for the stream`);
    if (hurry.aborted) hurried();
    hurry.addEventListener('abort', hurried, { once: true });
    await Promise.all(this.list().map((stream) => stream.over));
    hurry.removeEventListener('abort', hurried);
    timer.cancel();
  }

  async #awaitPeer(
    request: Extract<CreateStream, { role: 'destination' }>,
    family: Family | null,
    publicUrl: string,
  ): Promise<CreatedStream> {
    const { clock, random } = this.#options;
    const { migrationId } = request;
    const expiresMs = request.expiresSeconds * 1_000;
    const { ticket, secret } = Ticket.issue({ clock, random, migrationId, expiresMs });
    const ticketOf = (channel: number) =>
      family === null ? ticket : Ticket.of(channelSecret(secret, channel), { clock, migrationId, expiresMs });
    const streams = await this.#openAll(request, family, (channel) => ({ ticket: ticketOf(channel), expiresMs }));
    this.#keep(streams);
    const created = describeAll(streams, publicUrl);
    return { ...created, ticket: secret };
  }

  async #goToPeer(
    request: Extract<CreateStream, { role: 'source' }>,
    family: Family | null,
    publicUrl: string,
    signal: AbortSignal,
  ): Promise<CreatedStream> {
    const streams = await this.#openAll(request, family, () => null);
    try {
      await Promise.all(streams.map((stream) => this.#attach(stream, request, signal)));
      const ended = streams.find(({ isOver }) => isOver);
      if (ended !== undefined)
        throw new VmferryError('stream-failed', `The stream ended at once: ${ended.describe(publicUrl).reason ?? 'cleanly'}.`);
    } catch (thrown) {
      for (const stream of streams) stream.fail('the peer did not accept');
      throw refusalOf(thrown);
    }
    this.#keep(streams);
    return describeAll(streams, publicUrl);
  }

  /** Has the peer accept one stream; each channel of a family shows a ticket of its own. */
  async #attach(
    stream: Stream,
    { migrationId, peer }: Extract<CreateStream, { role: 'source' }>,
    signal: AbortSignal,
  ): Promise<void> {
    const own = this.#options.tls?.pem ?? null;
    const { clock } = this.#options;
    const channel = stream.membership?.channel;
    const ticket = channel === undefined ? peer.ticket : channelSecret(peer.ticket, channel);
    const to = { url: peer.url, ticket, channel, migrationId };
    const pacing = new Pacing();
    const beforeConnect = (fd: number) => pacing.beforeConnect(fd);
    const { socket, head } = await openStream({ ...to, tls: own, deadlineMs: connectMs, signal, clock, beforeConnect });
    pacing.connected(takeHandle(socket));
    armPeer(socket);
    const tls = this.#session(socket, 'client', own);
    await stream.attachPeer(detachSocket(socket), head, tls);
  }

  /** How a stream goes on that the peer at the other end of `socket` attaches; null for in the clear. */
  sessionOfPeer(socket: Socket): TlsSession | null {
    return this.#session(socket, 'server', this.#options.tls?.pem ?? null);
  }

  #session(socket: Socket, role: TlsSession['role'], own: TlsPem | null): TlsSession | null {
    return own === null ? null : sessionAfter(socket, { role, own, handshakeMs: this.#options.timers.attachMs });
  }

  /** One stream, or each of a family; none stays open when one could not be opened. */
  async #openAll(
    request: CreateStream,
    family: Family | null,
    admission: (channel: number) => Admission | null,
  ): Promise<Stream[]> {
    const streams: Stream[] = [];
    try {
      for (const channel of family?.channels ?? [null]) {
        const stream = await this.#open(
          request,
          channel === null ? null : (family?.member(channel) ?? null),
          admission(channel ?? 0),
        );
        streams.push(stream);
        family?.add(stream);
      }
      return streams;
    } catch (thrown) {
      for (const stream of streams) stream.fail('its family could not be opened');
      throw thrown;
    }
  }

  #open(request: CreateStream, membership: Membership | null, admission: Admission | null): Promise<Stream> {
    const { random, log, clock, faults, timers } = this.#options;
    const { migrationId, role, bandwidthMibPerSec = null } = request;
    return Stream.open({
      id: membership?.channel === 0 ? membership.family : random.uuid(),
      migrationId,
      role,
      localPath: join(this.#folder, `${random.hex(8)}.sock`),
      membership,
      admission,
      bandwidthMibPerSec,
      relayBandwidth: this.#bandwidth,
      timers,
      clock,
      faults,
      log: log.child({ migrationId, side: role, ...(membership === null ? {} : { channel: membership.channel }) }),
    });
  }

  #keep(streams: readonly Stream[]): void {
    if (this.#isDraining) {
      for (const stream of streams) stream.fail(shuttingDown);
      throw new VmferryError('draining', 'The relay is shutting down and takes no new stream.');
    }
    for (const stream of streams) {
      this.#streams.set(stream.id, stream);
      void stream.over.then(() => {
        this.#openCount -= 1;
        this.#dropOldestFinished();
      });
    }
  }

  #dropOldestFinished(): void {
    const finished = this.list().filter((stream) => stream.isOver);
    for (const stream of finished.slice(0, Math.max(0, finished.length - finishedMax))) {
      addTo(this.#dropped, stream);
      this.#streams.delete(stream.id);
    }
  }
}

/** The main stream, with the further ones of its family. */
function describeAll([main, ...others]: readonly Stream[], publicUrl: string): CreatedStream {
  if (main === undefined) throw new VmferryError('internal', 'A family has no stream.');
  return { ...main.describe(publicUrl), channels: others.map((stream) => stream.describe(publicUrl)) };
}

/** From here on the connection ends by a reset unless it ends cleanly: also when this process is killed, so that no peer takes that for an end. */
export function armPeer(socket: Socket): void {
  resetOnClose(takeHandle(socket), true);
  socket.setKeepAlive(true, keepAliveMs);
}

function addTo(totals: StreamTotals, { counters, state }: Stream): void {
  if (state === 'closed' || state === 'failed') totals[state] += 1;
  totals.bytesToPeer += counters.bytesToRemote;
  totals.bytesFromPeer += counters.bytesToLocal;
  totals.spliceCalls += counters.spliceCalls;
  totals.stalls += counters.stalls;
}

const passedOn: readonly ErrorCode[] = [
  'ticket-invalid',
  'stream-not-found',
  'peer-unreachable',
  'peer-nonsense',
  'stream-failed',
  'invalid-argument',
  'certificate-refused',
];

/** What the peer's refusal is to our own caller: a code that the creation of a stream declares, else 'stream-failed'. */
function refusalOf(thrown: unknown): VmferryError {
  const error = VmferryError.from(thrown);
  if (passedOn.includes(error.code)) return error;
  return new VmferryError('stream-failed', `The peer did not take the stream: ${error.message}`, { cause: error });
}

/** A folder of this user alone. What lies in it is of an earlier life of the relay: the lock file says that no other one lives. */
function privateFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const stats = lstatSync(path);
  if (!stats.isDirectory() || stats.uid !== process.getuid?.()) {
    throw new VmferryError(
      'invalid-argument',
      `${path} has to be a folder of the relay's own user; remove it or choose another --runtime-dir.`,
    );
  }
  chmodSync(path, 0o700);
  for (const name of readdirSync(path)) rmSync(join(path, name), { force: true });
  return path;
}
