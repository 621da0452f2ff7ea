import type { Socket } from 'node:net';
import { VmferryError } from '@vmferry/errors';
import type { Clock, Timer } from '@vmferry/seams';
import { type DialOptions, dial } from './dial.js';
import { EventGate } from './event-gate.js';
import { type EventListener, EventListeners } from './event-listeners.js';
import { type CommandName, type Commands, commandReturns, commandShapes } from './generated/commands.js';
import type { EventName } from './generated/events.js';
import { greet } from './greet.js';
import { LineReader } from './line-reader.js';
import { type Greeting, type Message, type QmpEvent, readMessage } from './message.js';
import { Outbox } from './outbox.js';
import { copyByShape } from './shape.js';

/** Time allowed for a command that names none. QEMU answers within milliseconds unless it hangs (qemu-behaviour, H). */
export const commandDeadlineMsDefault = 10_000;

/** For the first answer of a monitor that has greeted, before it is called again; each call waits twice as long as the one before. */
const firstPatienceMs = 1_500;

export interface ExecuteOptions {
  readonly deadlineMs?: number;
  /** Sent with the command by SCM_RIGHTS, for getfd and add-fd. It stays the caller's to close; getfd clears its O_NONBLOCK. */
  readonly fd?: number;
}

export interface WaitOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export type CloseListener = (why: VmferryError) => void;

interface Pending {
  readonly name: string;
  /** Makes of what QEMU answered what the caller is given; throws when it is in another form than the schema says. */
  readonly copy: (value: unknown) => unknown;
  readonly timer: Timer;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: VmferryError) => void;
}

/**
 * One client of one QMP monitor. Messages keep their order: an event that QEMU wrote before a reply reaches its listeners before
 * the reply resolves. Errors: `monitor-failed` when QEMU refuses (data: command, class, desc) or talks nonsense, `monitor-timeout`
 * when no answer came in time (the command may still be carried out), `guest-gone` when QEMU closed the monitor.
 */
export class QmpClient {
  readonly greeting: Greeting;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #reader: LineReader;
  readonly #outbox: Outbox;
  readonly #gate = new EventGate();
  readonly #listeners = new EventListeners();
  readonly #closeListeners = new Set<CloseListener>();
  readonly #waiters = new Set<CloseListener>();
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #gateTimer: Timer | null = null;
  #closedBecause: VmferryError | null = null;

  private constructor(socket: Socket, reader: LineReader, greeting: Greeting, { path, clock }: DialOptions) {
    this.greeting = greeting;
    this.#socket = socket;
    this.#clock = clock;
    this.#path = path;
    this.#reader = reader;
    this.#outbox = new Outbox(socket);
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      if (this.#gateTimer === null) this.#readOn();
    });
    socket.on('end', () => this.#fail(this.#gone()));
    socket.on('error', (cause) => this.#fail(this.#gone(cause)));
    socket.on('close', () => this.#fail(this.#gone()));
    this.#readOn();
  }

  /**
   * Connects, waits for the greeting and leaves negotiation mode, all within `deadlineMs`. A QEMU that is reached in the very moment in
   * which it sets its monitor up may greet and then never hear the first command: it is then called again.
   */
  static async connect(o: DialOptions): Promise<QmpClient> {
    const startedMs = o.clock.monotonicMs();
    const restMs = () => Math.max(1, o.deadlineMs - (o.clock.monotonicMs() - startedMs));
    const within = () => ({ ...o, deadlineMs: restMs() });
    for (let patienceMs = firstPatienceMs; ; patienceMs *= 2) {
      const client = await QmpClient.#greeted(within);
      const deadlineMs = Math.min(patienceMs, restMs());
      try {
        await client.execute('qmp_capabilities', {}, { deadlineMs });
        return client;
      } catch (error) {
        client.close();
        if (!VmferryError.is(error, 'monitor-timeout') || deadlineMs < patienceMs) throw error;
      }
    }
  }

  /** `within` gives the options with the time that is left. */
  static async #greeted(within: () => DialOptions): Promise<QmpClient> {
    const socket = await dial(within());
    try {
      const reader = new LineReader();
      return new QmpClient(socket, reader, await greet(socket, reader, within()), within());
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** The process that listens on the monitor, by the kernel's word. */
  get listenerPid(): number {
    return this.#outbox.listenerPid();
  }

  get closed(): boolean {
    return this.#closedBecause !== null;
  }

  execute<N extends CommandName>(
    name: N,
    args: Commands[N]['arguments'],
    o: ExecuteOptions = {},
  ): Promise<Commands[N]['returns']> {
    const type = commandReturns[name] ?? null;
    const copy = (value: unknown) => (type === null ? {} : copyByShape(type, value, commandShapes));
    // What the shape that the generator wrote beside the type lets through is of that type.
    return this.#execute(name, args, copy, o) as Promise<Commands[N]['returns']>;
  }

  /**
   * Any command, for an administrator: its answer is QEMU's JSON as it came, of at most one line of the monitor, and has to be
   * treated as hostile. Whoever calls this decides what may be sent.
   */
  executeUntyped(
    name: string,
    args: Readonly<Record<string, unknown>>,
    o: { readonly deadlineMs?: number } = {},
  ): Promise<unknown> {
    return this.#execute(name, args, (value) => value, o);
  }

  #execute(name: string, args: unknown, copy: Pending['copy'], o: ExecuteOptions): Promise<unknown> {
    if (this.#closedBecause !== null) return Promise.reject(this.#closedBecause);
    const { deadlineMs = commandDeadlineMsDefault, fd } = o;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(deadlineMs, () => {
        const detail = `QEMU did not answer ${name} on ${this.#path} within ${deadlineMs} ms; it may still carry it out.`;
        this.#settle(id)?.reject(new VmferryError('monitor-timeout', detail, { data: { command: name, deadlineMs } }));
      });
      this.#pending.set(id, { name, copy, timer, resolve, reject });
      const line = Buffer.from(`${JSON.stringify({ execute: name, arguments: args, id })}\n`);
      this.#outbox
        .send(line, () => this.#pending.has(id), fd)
        .catch((error: unknown) => {
          this.#settle(id)?.reject(VmferryError.from(error, 'guest-gone'));
        });
    });
  }

  on<N extends EventName>(name: N, listener: EventListener<N>): void {
    this.#listeners.add(name, listener);
  }

  off<N extends EventName>(name: N, listener: EventListener<N>): void {
    this.#listeners.remove(name, listener);
  }

  onAny(listener: EventListener): void {
    this.#listeners.addAny(listener);
  }

  offAny(listener: EventListener): void {
    this.#listeners.removeAny(listener);
  }

  /** Called once when the monitor ends by itself, that is when QEMU (or its monitor) is gone; not after `close()`. */
  onClose(listener: CloseListener): void {
    const why = this.#closedBecause;
    if (why === null) this.#closeListeners.add(listener);
    else queueMicrotask(() => listener(why));
  }

  /** The next event of this name that satisfies `predicate`. */
  waitFor<N extends EventName>(
    name: N,
    predicate: (event: QmpEvent<N>) => boolean = () => true,
    o: WaitOptions = {},
  ): Promise<QmpEvent<N>> {
    return new Promise((resolve, reject) => {
      if (this.#closedBecause !== null) return reject(this.#closedBecause);
      o.signal?.throwIfAborted();
      const finish = (act: () => void) => {
        timer?.cancel();
        o.signal?.removeEventListener('abort', onAbort);
        this.#listeners.remove(name, onEvent);
        this.#waiters.delete(onClose);
        act();
      };
      const onEvent = (event: QmpEvent<N>) => {
        if (predicate(event)) finish(() => resolve(event));
      };
      const onClose = (why: VmferryError) => finish(() => reject(why));
      const onAbort = () => finish(() => reject(o.signal?.reason as Error));
      const { deadlineMs } = o;
      const onDeadline = () => {
        const detail = `QEMU sent no event ${name} on ${this.#path} within ${deadlineMs} ms.`;
        finish(() => reject(new VmferryError('monitor-timeout', detail, { data: { event: name, deadlineMs } })));
      };
      const timer = deadlineMs === undefined ? null : this.#clock.after(deadlineMs, onDeadline);
      o.signal?.addEventListener('abort', onAbort, { once: true });
      this.#listeners.add(name, onEvent);
      this.#waiters.add(onClose);
    });
  }

  /** Lets the monitor go, so that QEMU can greet the next client. What is under way is rejected with `monitor-failed`. */
  close(): void {
    this.#closeListeners.clear();
    this.#fail(new VmferryError('monitor-failed', `This side has closed the monitor ${this.#path}.`));
  }

  /** Handles whole lines until none is left or there were too many events; then QEMU has to wait, not our memory. */
  #readOn(): void {
    this.#gateTimer = null;
    while (this.#closedBecause === null) {
      const waitMs = this.#gate.waitMs(this.#clock.monotonicMs());
      if (waitMs > 0) {
        this.#socket.pause();
        this.#gateTimer = this.#clock.after(waitMs, () => this.#readOn());
        return;
      }
      try {
        const line = this.#reader.next();
        if (line === null) break;
        this.#handle(readMessage(line, this.#clock.monotonicMs()));
      } catch (error) {
        this.#fail(VmferryError.from(error, 'monitor-failed'));
      }
    }
    this.#socket.resume();
  }

  #handle(message: Message): void {
    switch (message.t) {
      case 'event':
        this.#gate.count(message.event.receivedAtMs);
        this.#listeners.deliver(message.event);
        break;
      case 'other-event':
        this.#gate.count(this.#clock.monotonicMs());
        break;
      case 'return':
        this.#return(message.id, message.value);
        break;
      case 'error':
        this.#error(message);
        break;
      case 'greeting':
        throw new VmferryError('monitor-failed', `QEMU greeted twice on the monitor ${this.#path}.`);
    }
  }

  /** A reply to nobody is one that came after its deadline. */
  #return(id: number, value: unknown): void {
    const pending = this.#settle(id);
    if (pending === undefined) return;
    try {
      pending.resolve(pending.copy(value));
    } catch (cause) {
      const detail = `QEMU answered ${pending.name} in another form than its schema says: ${String(cause)}.`;
      pending.reject(new VmferryError('monitor-failed', detail, { cause, data: { command: pending.name } }));
    }
  }

  #error(message: Extract<Message, { t: 'error' }>): void {
    if (message.id === null)
      throw new VmferryError('monitor-failed', `QEMU could not read what was sent to it: ${message.desc}.`);
    const pending = this.#settle(message.id);
    if (pending === undefined) return;
    const { class: errorClass, desc } = message;
    const detail = `QEMU refused ${pending.name}: ${desc}`;
    pending.reject(new VmferryError('monitor-failed', detail, { data: { command: pending.name, class: errorClass, desc } }));
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.timer.cancel();
    return pending;
  }

  #gone(cause?: Error): VmferryError {
    return new VmferryError('guest-gone', `QEMU closed the monitor ${this.#path}: it has exited, or its monitor broke.`, {
      cause,
    });
  }

  /** Ends this client, once. */
  #fail(why: VmferryError): void {
    if (this.#closedBecause !== null) return;
    this.#closedBecause = why;
    this.#gateTimer?.cancel();
    this.#socket.destroy();
    for (const id of [...this.#pending.keys()]) this.#settle(id)?.reject(why);
    for (const listener of [...this.#waiters, ...this.#closeListeners]) listener(why);
    this.#closeListeners.clear();
  }
}
