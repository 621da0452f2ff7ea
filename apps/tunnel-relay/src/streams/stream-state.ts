import type { PumpEnd, TlsSession } from '../pump/index.js';

/** One connected end of a stream, as a descriptor that the stream owns. */
export type StreamEnd =
  | { readonly side: 'local'; readonly fd: number }
  | { readonly side: 'peer'; readonly fd: number; readonly head: Uint8Array; readonly tls: TlsSession | null };

/**
 * ```
 * waiting --attach--> attached --attach of the other side--> streaming --ended clean--> closed
 *    '-------fail--------'-----------------fail, ended otherwise-------'--------------> failed
 * ```
 */
export type StreamState =
  | { readonly t: 'waiting' }
  | { readonly t: 'attached'; readonly end: StreamEnd }
  | { readonly t: 'streaming' }
  | { readonly t: 'closed' }
  | { readonly t: 'failed'; readonly reason: string };

export type StreamEvent =
  | { readonly t: 'attach'; readonly end: StreamEnd }
  | { readonly t: 'ended'; readonly end: PumpEnd }
  | { readonly t: 'fail'; readonly reason: string };

/** What the owner of the state has to do. `start` hands both descriptors to the pump; `reset` closes one that nobody took. */
export type StreamEffect =
  | {
      readonly t: 'start';
      readonly local: number;
      readonly remote: number;
      readonly head: Uint8Array;
      readonly tls: TlsSession | null;
    }
  | { readonly t: 'reset'; readonly fd: number }
  | { readonly t: 'abort'; readonly reason: string };

export interface StreamStep {
  readonly state: StreamState;
  readonly effects: readonly StreamEffect[];
}

/** Every descriptor that comes in by an event goes out by exactly one effect. Throws for what cannot happen in a state. */
export function step(state: StreamState, event: StreamEvent): StreamStep {
  switch (state.t) {
    case 'waiting':
      return whileWaiting(state, event);
    case 'attached':
      return whileAttached(state, event);
    case 'streaming':
      return whileStreaming(event);
    case 'closed':
    case 'failed':
      // It is over: an end that arrives late is turned away, and the first reason stays.
      return { state, effects: event.t === 'attach' ? [{ t: 'reset', fd: event.end.fd }] : [] };
  }
}

function whileWaiting(state: StreamState, event: StreamEvent): StreamStep {
  switch (event.t) {
    case 'attach':
      return { state: { t: 'attached', end: event.end }, effects: [] };
    case 'fail':
      return { state: { t: 'failed', reason: event.reason }, effects: [] };
    case 'ended':
      return unexpected(state, event);
  }
}

function whileAttached(state: Extract<StreamState, { t: 'attached' }>, event: StreamEvent): StreamStep {
  switch (event.t) {
    case 'attach': {
      const ends = [state.end, event.end];
      const local = ends.find((end) => end.side === 'local');
      const peer = ends.find((end) => end.side === 'peer');
      if (local === undefined || peer === undefined) return unexpected(state, event);
      const { fd: remote, head, tls } = peer;
      return { state: { t: 'streaming' }, effects: [{ t: 'start', local: local.fd, remote, head, tls }] };
    }
    case 'fail':
      return { state: { t: 'failed', reason: event.reason }, effects: [{ t: 'reset', fd: state.end.fd }] };
    case 'ended':
      return unexpected(state, event);
  }
}

function whileStreaming(event: StreamEvent): StreamStep {
  switch (event.t) {
    case 'ended':
      return { state: event.end.t === 'clean' ? { t: 'closed' } : { t: 'failed', reason: inWords(event.end) }, effects: [] };
    case 'fail':
      return { state: { t: 'failed', reason: event.reason }, effects: [{ t: 'abort', reason: event.reason }] };
    case 'attach':
      return unexpected({ t: 'streaming' }, event);
  }
}

/** In place of the name of an errno: QEMU's end of the stream never came. */
const noDescriptor = 'NO-DESCRIPTOR';

function inWords(end: Exclude<PumpEnd, { t: 'clean' }>): string {
  switch (end.t) {
    case 'failed': {
      if (end.name === noDescriptor)
        return 'the agent of this host has given no connection of its QEMU, as when the migration has ended before';
      const who = end.side === 'local' ? 'the QEMU of this host' : 'the relay of the other host';
      return `the connection to ${who} broke (${end.name}) while bytes went ${end.direction === 'to-local' ? 'from the peer' : 'to the peer'}`;
    }
    case 'aborted':
      return end.reason;
    case 'crashed':
      return `the thread of the stream died: ${end.error.message}`;
  }
}

function unexpected(state: StreamState, event: StreamEvent): never {
  throw new Error(`a stream that is ${state.t} cannot meet "${event.t}"`);
}
