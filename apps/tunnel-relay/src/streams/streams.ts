import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { createStream, StreamResource, z } from '@vmferry/api';
import { openStream } from '@vmferry/client';
import { type ErrorCode, VmferryError } from '@vmferry/errors';
import { detachSocket, resetOnClose, takeHandle } from '@vmferry/posix';
import type { Clock, FaultPoints, Random } from '@vmferry/seams';
import type { Log } from '@vmferry/service';
import type { TlsIdentity, TlsPem } from '@vmferry/tls';
import { Bandwidth, type TlsSession } from '../pump/index.js';
import { Pacing } from './pacing.js';
import { bytesPerMib, Stream, type StreamTimers } from './stream.js';
import { Ticket } from './ticket.js';
import { sessionAfter } from './tls-admission.js';

type CreateStream = z.output<typeof createStream>;

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
   * Opens a stream. A `destination` waits for its peer with the ticket in the answer; a `source` has its peer's acceptance, or
   * throws why not ('ticket-invalid', 'stream-not-found', 'peer-unreachable', 'peer-nonsense', else 'stream-failed').
   */
  async create(request: CreateStream, publicUrl: string, signal: AbortSignal): Promise<StreamResource> {
    if (this.#openCount >= openMax) {
      throw new VmferryError('too-many-requests', `${openMax} streams are open at this relay; end one or wait for one to end.`);
    }
    this.#openCount += 1;
    try {
      return request.role === 'source'
        ? await this.#goToPeer(request, publicUrl, signal)
        : await this.#awaitPeer(request, publicUrl);
    } catch (thrown) {
      this.#openCount -= 1;
      throw thrown;
    }
  }

  /** Throws 'stream-not-found'. */
  get(id: string): Stream {
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new VmferryError('stream-not-found', `There is no stream ${id.slice(0, 64)} at this relay.`);
    return stream;
  }

  list(): readonly Stream[] {
    return [...this.#streams.values()];
  }

  totals(): StreamTotals {
    const totals = { ...this.#dropped };
    for (const stream of this.#streams.values()) addTo(totals, stream);
    return totals;
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

  async #awaitPeer(request: Extract<CreateStream, { role: 'destination' }>, publicUrl: string): Promise<StreamResource> {
    const { clock, random } = this.#options;
    const { migrationId } = request;
    const expiresMs = request.expiresSeconds * 1_000;
    const { ticket, secret } = Ticket.issue({ clock, random, migrationId, expiresMs });
    const stream = await this.#open(request, { ticket, expiresMs });
    this.#keep(stream);
    return { ...stream.describe(publicUrl), ticket: secret };
  }

  async #goToPeer(
    request: Extract<CreateStream, { role: 'source' }>,
    publicUrl: string,
    signal: AbortSignal,
  ): Promise<StreamResource> {
    const stream = await this.#open(request, null);
    try {
      const { migrationId, peer } = request;
      const own = this.#options.tls?.pem ?? null;
      const pacing = new Pacing();
      const { socket, head } = await openStream({
        ...peer,
        tls: own,
        migrationId,
        deadlineMs: connectMs,
        signal,
        clock: this.#options.clock,
        beforeConnect: (fd) => pacing.beforeConnect(fd),
      });
      pacing.connected(takeHandle(socket));
      armPeer(socket);
      const tls = this.#session(socket, 'client', own);
      await stream.attachPeer(detachSocket(socket), head, tls);
      if (stream.isOver)
        throw new VmferryError('stream-failed', `The stream ended at once: ${stream.describe(publicUrl).reason ?? 'cleanly'}.`);
    } catch (thrown) {
      stream.fail('the peer did not accept');
      throw refusalOf(thrown);
    }
    this.#keep(stream);
    return stream.describe(publicUrl);
  }

  /** How a stream goes on that the peer at the other end of `socket` attaches; null for in the clear. */
  sessionOfPeer(socket: Socket): TlsSession | null {
    return this.#session(socket, 'server', this.#options.tls?.pem ?? null);
  }

  #session(socket: Socket, role: TlsSession['role'], own: TlsPem | null): TlsSession | null {
    return own === null ? null : sessionAfter(socket, { role, own, handshakeMs: this.#options.timers.attachMs });
  }

  #open(request: CreateStream, admission: { ticket: Ticket; expiresMs: number } | null): Promise<Stream> {
    const { random, log, clock, faults, timers } = this.#options;
    const { migrationId, role, bandwidthMibPerSec = null } = request;
    return Stream.open({
      id: random.uuid(),
      migrationId,
      role,
      localPath: join(this.#folder, `${random.hex(8)}.sock`),
      admission,
      bandwidthMibPerSec,
      relayBandwidth: this.#bandwidth,
      timers,
      clock,
      faults,
      log: log.child({ migrationId, side: role }),
    });
  }

  #keep(stream: Stream): void {
    if (this.#isDraining) {
      stream.fail(shuttingDown);
      throw new VmferryError('draining', 'The relay is shutting down and takes no new stream.');
    }
    this.#streams.set(stream.id, stream);
    void stream.over.then(() => {
      this.#openCount -= 1;
      this.#dropOldestFinished();
    });
  }

  #dropOldestFinished(): void {
    const finished = this.list().filter((stream) => stream.isOver);
    for (const stream of finished.slice(0, Math.max(0, finished.length - finishedMax))) {
      addTo(this.#dropped, stream);
      this.#streams.delete(stream.id);
    }
  }
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
