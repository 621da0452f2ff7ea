import type { StreamResource } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { closeFd, congestionControl, resetOnClose } from '@vmferry/posix';
import type { Clock, FaultPoints, Timer } from '@vmferry/seams';
import type { Log } from '@vmferry/service';
import { Bandwidth, type DirectionName, type Pump, type PumpCounters, startPump, type TlsSession } from '../pump/index.js';
import { type LocalSocket, listenOnce } from './local-socket.js';
import { type StreamEffect, type StreamEnd, type StreamEvent, type StreamState, step } from './stream-state.js';
import { Throughput } from './throughput.js';
import { invalidTicket, type Ticket } from './ticket.js';

export interface StreamTimers {
  /** From the first end's arrival to the second's; what waits for the peer has the ticket's expiry instead. */
  readonly attachMs: number;
  /** How long a stream may move no byte; 0 switches it off, see the README. */
  readonly silenceMs: number;
}

/** A stream of a family: the others end as failed when it does. */
export interface Membership {
  /** The id of the family's main stream, which is its channel 0. */
  readonly family: string;
  readonly channel: number;
  /** Told once, when this stream has failed. */
  readonly lost: (channel: number, reason: string) => void;
}

export interface StreamOptions {
  readonly id: string;
  readonly migrationId: string;
  readonly role: 'source' | 'destination';
  readonly localPath: string;
  /** Which channel of which family it is; null for a stream by itself. */
  readonly membership: Membership | null;
  /** For a `destination`; a `source` goes to its peer itself. */
  readonly admission: { readonly ticket: Ticket; readonly expiresMs: number } | null;
  /** Its own cap, null for none; and the one that it shares with every stream of the relay. */
  readonly bandwidthMibPerSec: number | null;
  readonly relayBandwidth: Bandwidth;
  readonly timers: StreamTimers;
  readonly clock: Clock;
  readonly faults: FaultPoints;
  readonly log: Log;
}

const noCounters: PumpCounters = { bytesToLocal: 0, bytesToRemote: 0, spliceCalls: 0, stalls: 0, silentMs: 0 };
export const bytesPerMib = 1_048_576;

/** One stream: the shell around `stream-state`, which owns its descriptors, its local socket, its timer and its pump. */
export class Stream {
  readonly #options: StreamOptions;
  readonly #createdAt: Date;
  readonly #startedMs: number;
  readonly #bandwidth = new Bandwidth();
  #bandwidthMibPerSec: number | null = null;
  #congestionControl: string | null = null;
  #state: StreamState = { t: 'waiting' };
  #local: LocalSocket | undefined;
  #timer: Timer | undefined;
  #pump: Pump | undefined;
  #throughput: Throughput | undefined;
  #closedAt: Date | undefined;
  #finished: () => void = () => undefined;
  /** Resolves when the stream is closed or failed and its last descriptor is closed. */
  readonly over: Promise<void>;

  private constructor(options: StreamOptions) {
    this.#options = options;
    this.#createdAt = options.clock.wall();
    this.#startedMs = options.clock.monotonicMs();
    this.limitBandwidth(options.bandwidthMibPerSec);
    this.over = new Promise((resolve) => {
      this.#finished = resolve;
    });
  }

  /** A stream that listens for its local end. Throws 'invalid-argument' when the path of its socket is too long. */
  static async open(options: StreamOptions): Promise<Stream> {
    await options.faults('R0');
    const stream = new Stream(options);
    const taken = (fd: number) => void stream.#arrived({ side: 'local', fd });
    const lost = (error: unknown) => stream.fail(`the local end could not be taken: ${messageOf(error)}`);
    stream.#local = await listenOnce(options.localPath, taken, lost);
    stream.#arm();
    return stream;
  }

  get id(): string {
    return this.#options.id;
  }

  get state(): StreamState['t'] {
    return this.#state.t;
  }

  get counters(): PumpCounters {
    return this.#pump?.counters ?? noCounters;
  }

  get membership(): Membership | null {
    return this.#options.membership;
  }

  get migrationId(): string {
    return this.#options.migrationId;
  }

  /** What it moves now; 0 unless it streams. */
  get bytesPerSec(): Throughput['bytesPerSec'] {
    return this.#throughput?.bytesPerSec ?? { toPeer: 0, fromPeer: 0 };
  }

  /** The most that it moves in each direction, from now on; null for no cap of its own. Throws 'stream-over'. */
  limitBandwidth(mibPerSec: number | null): void {
    if (this.isOver) throw new VmferryError('stream-over', `The stream is ${this.#state.t}; it has no bandwidth any more.`);
    this.#bandwidthMibPerSec = mibPerSec;
    this.#bandwidth.limit((mibPerSec ?? 0) * bytesPerMib);
  }

  /** Consumes the ticket. Throws 'ticket-invalid'; nothing has changed then. */
  admit(secret: string, migrationId: string): void {
    if (this.#options.admission === null || this.isOver) throw invalidTicket();
    this.#options.admission.ticket.redeem(secret, migrationId);
  }

  /** Takes over the connection to the other relay; with `tls` the stream goes on in TLS. */
  async attachPeer(fd: number, head: Uint8Array, tls: TlsSession | null): Promise<void> {
    this.#congestionControl = congestionControl(fd);
    await this.#arrived({ side: 'peer', fd, head, tls });
  }

  /** Ends the stream as failed, with a reset of both its ends; nothing once it is over. */
  fail(reason: string): void {
    this.#meet({ t: 'fail', reason });
  }

  get isOver(): boolean {
    return this.#state.t === 'closed' || this.#state.t === 'failed';
  }

  /** What the API tells of it; the ticket is never told again. */
  describe(publicUrl: string): StreamResource {
    const { id, migrationId, role, localPath, membership } = this.#options;
    const awaitsLocal = this.#state.t === 'waiting' || (this.#state.t === 'attached' && this.#state.end.side === 'peer');
    const { counters, bytesPerSec } = this;
    return {
      id,
      migrationId,
      role,
      state: this.#state.t,
      family: membership?.family ?? null,
      channel: membership?.channel ?? null,
      localSocket: awaitsLocal ? localPath : null,
      attachUrl: role === 'destination' ? `${publicUrl}/v1/streams/${membership?.family ?? id}/attach` : null,
      ticket: null,
      path: this.#pump?.path ?? null,
      congestionControl: this.#congestionControl,
      bytesToPeer: counters.bytesToRemote,
      bytesFromPeer: counters.bytesToLocal,
      toPeerBytesPerSec: bytesPerSec.toPeer,
      fromPeerBytesPerSec: bytesPerSec.fromPeer,
      bandwidthMibPerSec: this.#bandwidthMibPerSec,
      spliceCalls: counters.spliceCalls,
      stalls: counters.stalls,
      msSinceLastByte: this.#state.t === 'streaming' ? Math.max(0, Math.round(counters.silentMs)) : null,
      reason: this.#state.t === 'failed' ? this.#state.reason : null,
      createdAt: this.#createdAt.toISOString(),
      closedAt: this.#closedAt?.toISOString() ?? null,
    };
  }

  /** R1 is the arrival of the source's end, R2 that of the destination's; which of them is local depends on the role. */
  async #arrived(end: StreamEnd): Promise<void> {
    const isSourceEnd = (end.side === 'local') === (this.#options.role === 'source');
    try {
      await this.#options.faults(isSourceEnd ? 'R1' : 'R2');
    } catch (thrown) {
      this.#release(end.fd);
      this.fail(messageOf(thrown));
      return;
    }
    this.#meet({ t: 'attach', end });
  }

  #meet(event: StreamEvent): void {
    const before = this.#state.t;
    const { state, effects } = step(this.#state, event);
    this.#state = state;
    for (const effect of effects) this.#apply(effect);
    if (this.#state.t !== before) this.#entered(before);
  }

  #apply(effect: StreamEffect): void {
    switch (effect.t) {
      case 'start':
        this.#start(effect);
        return;
      case 'reset':
        this.#release(effect.fd);
        return;
      case 'abort':
        this.#pump?.abort(effect.reason);
        return;
    }
  }

  #start({ local, remote, head, tls }: Extract<StreamEffect, { t: 'start' }>): void {
    try {
      const caps = { bandwidth: this.#bandwidth, sharedBandwidth: this.#options.relayBandwidth };
      const bulk: DirectionName = this.#options.role === 'source' ? 'to-remote' : 'to-local';
      const onFallback = (reason: string) =>
        this.#options.log.warn('the kernel does not splice the stream; Node moves its bytes', { stream: this.id, reason });
      const ends = { local, remote, handsOver: this.membership !== null, head, tls, bulk };
      this.#pump = startPump({ ...ends, ...caps, onHalfClose: () => this.#halfClosed(), onFallback });
      this.#throughput = new Throughput(this.#options.clock, this.#pump.counters);
    } catch (thrown) {
      this.#state = { t: 'failed', reason: `the stream could not be started: ${messageOf(thrown)}` };
      return;
    }
    void this.#run(this.#pump);
  }

  #halfClosed(): void {
    const struck = async () => this.#options.faults('R4');
    struck().catch((thrown: unknown) => this.fail(messageOf(thrown)));
  }

  async #run(pump: Pump): Promise<void> {
    try {
      await this.#options.faults('R3');
    } catch (thrown) {
      this.fail(messageOf(thrown));
    }
    const end = await pump.ended;
    try {
      await this.#options.faults('R5');
      this.#meet({ t: 'ended', end });
    } catch (thrown) {
      this.fail(messageOf(thrown));
    }
    this.#finished();
  }

  #entered(before: StreamState['t']): void {
    this.#timer?.cancel();
    this.#options.log.info('stream changed', { stream: this.id, before, state: toldOf(this.#state) });
    if (!this.isOver) {
      this.#arm();
      return;
    }
    this.#closedAt = this.#options.clock.wall();
    this.#throughput?.stop();
    this.#throughput = undefined;
    this.#local?.close();
    if (this.#pump === undefined) this.#finished();
    if (this.#state.t === 'failed') this.membership?.lost(this.membership.channel, this.#state.reason);
  }

  /** Each state that is left by something from outside has its own timer, because Node sees no end of a connection it does not read. */
  #arm(): void {
    const { admission, clock, timers } = this.#options;
    const peerAwaited = this.#state.t === 'waiting' || (this.#state.t === 'attached' && this.#state.end.side === 'local');
    if (this.#state.t === 'streaming') {
      if (timers.silenceMs > 0) this.#watchSilence();
    } else if (peerAwaited && admission !== null) {
      const leftMs = this.#startedMs + admission.expiresMs - clock.monotonicMs();
      this.#timer = clock.after(leftMs, () => this.fail(`no peer attached within ${admission.expiresMs} ms`));
    } else {
      this.#timer = clock.after(timers.attachMs, () => this.fail(`the local end did not connect within ${timers.attachMs} ms`));
    }
  }

  #watchSilence(): void {
    const { clock, timers } = this.#options;
    const leftMs = timers.silenceMs - this.counters.silentMs;
    if (leftMs <= 0) this.fail(`the stream was silent for ${timers.silenceMs} ms`);
    else this.#timer = clock.after(leftMs, () => this.#watchSilence());
  }

  #release(fd: number): void {
    resetOnClose(fd, true);
    closeFd(fd);
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A state as a log may have it: an end brings the key of its TLS along. */
function toldOf(state: StreamState): object {
  return state.t === 'attached' ? { t: state.t, side: state.end.side } : state;
}
