import { VmferryError } from '@vmferry/errors';
import { type EventName, type Events, eventData, eventShapes } from './generated/events.js';
import { copyByShape, isObject, type Shape, type TypeRef } from './shape.js';

/** What QEMU says of itself when a client is let in. */
export interface Greeting {
  readonly qemu: { readonly major: number; readonly minor: number; readonly micro: number };
  /** What the distribution adds to the version, as in `Debian 1:7.2+dfsg-7`. */
  readonly package: string;
}

/** An event with its own clock reading, so that a downtime is measured STOP to RESUME on one clock (qemu-behaviour, T4). */
export type QmpEvent<N extends EventName = EventName> = {
  readonly [K in N]: {
    readonly name: K;
    readonly data: Events[K];
    /** QEMU's wall clock; for people, never for a duration. */
    readonly timestamp: { readonly seconds: number; readonly microseconds: number };
    /** `clock.monotonicMs()` of this process when the event was read. */
    readonly receivedAtMs: number;
  };
}[N];

export type Message =
  | { readonly t: 'greeting'; readonly greeting: Greeting }
  | { readonly t: 'event'; readonly event: QmpEvent }
  /** An event that the selection of tools/qapi-gen does not hold. */
  | { readonly t: 'other-event' }
  | { readonly t: 'return'; readonly id: number; readonly value: unknown }
  | { readonly t: 'error'; readonly id: number | null; readonly class: string; readonly desc: string };

/** Reads one line of a monitor. Throws `monitor-failed` when it is not a message of the QMP specification. */
export function readMessage(line: string, receivedAtMs: number): Message {
  const message = parse(line);
  if (Object.hasOwn(message, 'QMP')) return { t: 'greeting', greeting: readGreeting(message.QMP) };
  if (Object.hasOwn(message, 'event')) return readEvent(message, receivedAtMs);
  const id = Object.hasOwn(message, 'id') && typeof message.id === 'number' ? message.id : null;
  if (Object.hasOwn(message, 'return') && id !== null) return { t: 'return', id, value: message.return };
  if (Object.hasOwn(message, 'error') && isObject(message.error)) {
    const { class: errorClass, desc } = message.error;
    return { t: 'error', id, class: String(errorClass), desc: String(desc) };
  }
  throw new VmferryError('monitor-failed', 'QEMU sent a message on its monitor that is no greeting, event, return or error.');
}

function parse(line: string): Readonly<Record<string, unknown>> {
  try {
    const message: unknown = JSON.parse(line);
    if (isObject(message)) return message;
  } catch (cause) {
    throw new VmferryError('monitor-failed', 'QEMU sent a line on its monitor that is not JSON.', { cause });
  }
  throw new VmferryError('monitor-failed', 'QEMU sent a line on its monitor that is not a JSON object.');
}

const greetingShapes = {
  Greeting: { t: 'object', members: { version: 'Version' } },
  Version: { t: 'object', members: { qemu: 'Triple', package: 'str' } },
  Triple: { t: 'object', members: { major: 'int', minor: 'int', micro: 'int' } },
} as const;

function readGreeting(value: unknown): Greeting {
  // The copy has exactly the members of the shapes just above.
  const greeting = copy('Greeting', value, greetingShapes, 'its greeting') as { version: Greeting };
  return greeting.version;
}

const timestampShapes = { Timestamp: { t: 'object', members: { seconds: 'int', microseconds: 'int' } } } as const;

function readEvent(message: Readonly<Record<string, unknown>>, receivedAtMs: number): Message {
  const name = message.event;
  if (!isEventName(name)) return { t: 'other-event' };
  const type = eventData[name] ?? null;
  const data = type === null ? {} : copy(type, message.data, eventShapes, `the event ${name}`);
  const timestamp = copy('Timestamp', message.timestamp, timestampShapes, `the time of the event ${name}`);
  // Both copies follow the generated shapes, and tools/qapi-gen writes the types and the shapes from one schema.
  return { t: 'event', event: { name, data, timestamp, receivedAtMs } as QmpEvent };
}

function isEventName(name: unknown): name is EventName {
  return typeof name === 'string' && Object.hasOwn(eventData, name);
}

function copy(type: TypeRef, value: unknown, shapes: Readonly<Record<string, Shape>>, what: string): unknown {
  try {
    return copyByShape(type, value, shapes);
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new VmferryError('monitor-failed', `QEMU sent ${what} in another form than its schema says: ${detail}.`, { cause });
  }
}
