import { VmferryError } from '@vmferry/errors';
import type { Caller, CallOptions } from './caller.js';

export interface ServerEvent {
  readonly event: string;
  /** The generation of the resource; the next reader gives it as `lastEventId`. */
  readonly id: number | null;
  /** Empty when the server only tells where its reader stands. */
  readonly data: string;
}

const eventCharsMax = 4_194_304;
/** Three of the server's heartbeats. */
const silenceMs = 45_000;

/** Cuts a text/event-stream into its events. A comment is no event; an event over 4 MiB is 'peer-nonsense'. */
export class EventParser {
  #rest = '';

  push(text: string): ServerEvent[] {
    this.#rest += text.replaceAll('\r\n', '\n');
    const blocks = this.#rest.split('\n\n');
    this.#rest = blocks.pop() ?? '';
    if (this.#rest.length > eventCharsMax)
      throw new VmferryError('peer-nonsense', `An event is over ${eventCharsMax} characters.`);
    return blocks.map(parseBlock).filter((event) => event !== null);
  }
}

function parseBlock(block: string): ServerEvent | null {
  let event = 'message';
  let id: number | null = null;
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const [, field, value = ''] = /^(event|id|data): ?(.*)$/.exec(line) ?? [];
    if (field === 'event') event = value;
    if (field === 'id' && /^\d{1,15}$/.test(value)) id = Number(value);
    if (field === 'data') data.push(value);
  }
  return data.length === 0 && id === null ? null : { event, id, data: data.join('\n') };
}

/**
 * The events of one connection, until the server ends it. 'peer-unreachable' when it breaks, or stays silent for three heartbeats.
 */
export async function* readEvents(
  caller: Caller,
  path: string,
  options: CallOptions & { readonly lastEventId?: number | undefined } = {},
): AsyncGenerator<ServerEvent, void, undefined> {
  const headers: Record<string, string> =
    options.lastEventId === undefined ? {} : { 'last-event-id': String(options.lastEventId) };
  const stream = await caller.open(path, headers, options);
  const watchdog = setTimeout(() => stream.destroy(new Error(`no heartbeat for ${silenceMs} ms`)), silenceMs);
  const parser = new EventParser();
  stream.setEncoding('utf8');
  try {
    for await (const chunk of stream) {
      watchdog.refresh();
      yield* parser.push(String(chunk));
    }
  } catch (thrown) {
    options.signal?.throwIfAborted();
    if (thrown instanceof VmferryError) throw thrown;
    throw new VmferryError('peer-unreachable', `The events of ${caller.baseUrl}${path} broke off.`, {
      cause: thrown,
      data: { url: `${caller.baseUrl}${path}` },
    });
  } finally {
    clearTimeout(watchdog);
    stream.destroy();
  }
}
