import { ManualClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { type Publication, Publisher, type Subscribable } from './publisher.js';
import { SseClient } from './sse-client.js';

class Sink {
  text = '';
  writableLength = 0;
  ended = false;
  destroyed = false;
  taken: (() => void)[] = [];
  write(text: string): void {
    this.text += text;
  }
  once(_event: 'drain', listener: () => void): void {
    this.taken.push(listener);
  }
  /** The reader takes what was written. */
  drain(): void {
    this.writableLength = 0;
    for (const listener of this.taken.splice(0)) listener();
  }
  end(): void {
    this.ended = true;
  }
  destroy(): void {
    this.destroyed = true;
  }
  get events(): string[] {
    return [...this.text.matchAll(/event: (\w+)\n(?:id: (\d+)\n)?/g)].map(([, event, id]) =>
      id === undefined ? `${event}` : `${event} ${id}`,
    );
  }
}

function setup(lastEventId?: number, before: (p: Publisher<{ n: number }>) => void = () => undefined) {
  const clock = new ManualClock();
  const publisher = new Publisher({ clock, value: { n: 0 }, generation: 5 });
  before(publisher);
  const sink = new Sink();
  const client = new SseClient(publisher, sink, { clock, lastEventId });
  return { clock, publisher, sink, client };
}

describe('SSE', () => {
  it('begins with retry and a snapshot, tells each phase, and ends after done', () => {
    const { publisher, sink, clock } = setup();
    publisher.publish('phase', { n: 1 }, 6);
    publisher.publish('done', { n: 2 }, 7);
    expect(sink.text.startsWith('retry: 3000\n\nevent: snapshot\nid: 5\ndata: {"n":0}\n\n')).toBe(true);
    expect([sink.events, sink.ended, clock.timers]).toEqual([['snapshot 5', 'phase 6', 'done 7'], true, 0]);
  });

  it('progress comes at most twice a second, the latest wins, and a phase overtakes it', () => {
    const { publisher, sink, clock } = setup();
    for (let n = 6; n <= 15; n += 1) publisher.publish('progress', { n }, n);
    expect(sink.events).toEqual(['snapshot 5', 'progress 6']);
    clock.advance(500);
    expect(sink.events.at(-1)).toBe('progress 15');
    publisher.publish('progress', { n: 16 }, 16);
    publisher.publish('phase', { n: 17 }, 17);
    clock.advance(2_000);
    expect(sink.events).toEqual(['snapshot 5', 'progress 6', 'progress 15', 'phase 17']);
  });

  it('Last-Event-ID resumes behind what was read; an id that is not known gets a snapshot', () => {
    const publish = (p: Publisher<{ n: number }>) => {
      p.publish('phase', { n: 6 }, 6);
      p.publish('phase', { n: 7 }, 7);
      p.publish('progress', { n: 8 }, 8);
    };
    expect(setup(6, publish).sink.events).toEqual(['phase 7', 'progress 8']);
    expect(setup(8, publish).sink.events).toEqual([]);
    expect(setup(3, publish).sink.events).toEqual(['snapshot 8']);
    expect(setup(99, publish).sink.events).toEqual(['snapshot 8']);
  });

  it('a stream that is done is told once and ended at once', () => {
    const { sink } = setup(undefined, (p) => p.publish('done', { n: 6 }, 6));
    expect([sink.events, sink.ended]).toEqual([['snapshot 6', 'done 6'], true]);
  });

  it('a heartbeat comment goes every 15 s', () => {
    const { sink, clock, client } = setup();
    clock.advance(30_000);
    expect(sink.text.match(/^: still here$/gm)).toHaveLength(2);
    client.close();
    expect([sink.ended, clock.timers]).toEqual([true, 0]);
  });

  it('a slow reader is sent overflow, ended and then dropped', () => {
    const { publisher, sink, clock } = setup();
    sink.writableLength = 1_000_000;
    publisher.publish('phase', { n: 6 }, 6);
    publisher.publish('phase', { n: 7 }, 7);
    expect([sink.events, sink.ended, sink.destroyed]).toEqual([['snapshot 5', 'overflow'], true, false]);
    clock.advance(1_000);
    expect(sink.destroyed).toBe(true);
  });
});

/** A log of changes without a present state, as the lifecycle events of a host are one. */
class Changes implements Subscribable<{ n: number }> {
  readonly ended = false;
  readonly #listeners = new Set<(publication: Publication<{ n: number }>) => void>();
  constructor(readonly told: Publication<{ n: number }>[] = []) {}
  get generation(): number {
    return this.told.at(-1)?.generation ?? 0;
  }
  add(n: number): void {
    const publication = { event: 'change', value: { n }, generation: n };
    this.told.push(publication);
    for (const listener of this.#listeners) listener(publication);
  }
  subscribe(listener: (publication: Publication<{ n: number }>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  opening(generation: number | undefined): readonly Publication<{ n: number }>[] {
    return generation === undefined ? [] : this.told.filter((publication) => publication.generation > generation);
  }
}

describe('SSE of changes without a present state', () => {
  const changes = (count: number) => {
    const told = new Changes();
    for (let n = 1; n <= count; n += 1) told.add(n);
    return told;
  };

  it('begins with where the reader stands, and tells what happens from now on', () => {
    const [told, sink, clock] = [changes(3), new Sink(), new ManualClock()];
    new SseClient(told, sink, { clock, lastEventId: undefined });
    told.add(4);
    expect(sink.text).toBe('retry: 3000\n\nid: 3\n\nevent: change\nid: 4\ndata: {"n":4}\n\n');
  });

  it('a long past comes as fast as it is read, and what is published meanwhile behind it', () => {
    const [told, sink, clock] = [changes(30), new Sink(), new ManualClock()];
    // Ten events fill the buffer.
    sink.write = function (text) {
      this.text += text;
      this.writableLength += 30_000;
    };
    new SseClient(told, sink, { clock, lastEventId: 0 });
    expect(sink.events).toHaveLength(8);
    told.add(31);
    for (let turn = 0; turn < 5; turn += 1) sink.drain();
    expect(sink.events).toEqual(Array.from({ length: 31 }, (_, n) => `change ${n + 1}`));
    expect(sink.ended).toBe(false);
  });

  it('who does not read its past is sent overflow at the next heartbeat', () => {
    const [told, sink, clock] = [changes(30), new Sink(), new ManualClock()];
    sink.writableLength = 1_000_000;
    new SseClient(told, sink, { clock, lastEventId: 0 });
    clock.advance(16_000);
    expect([sink.events, sink.ended, sink.destroyed]).toEqual([['overflow'], true, true]);
    sink.drain();
    expect(sink.events).toEqual(['overflow']);
  });
});

describe('long poll', () => {
  it('resolves at the first newer generation, at the end of its time, or when its client goes', async () => {
    const { publisher, clock } = setup();
    const gone = new AbortController();
    const newer = publisher.waitAfter(5, 1_000, gone.signal);
    publisher.publish('phase', { n: 6 }, 6);
    expect((await newer).generation).toBe(6);
    expect((await publisher.waitAfter(2, 1_000, gone.signal)).generation).toBe(6);
    const timedOut = publisher.waitAfter(6, 1_000, gone.signal);
    clock.advance(1_000);
    expect((await timedOut).generation).toBe(6);
    const left = publisher.waitAfter(6, 1_000, gone.signal);
    gone.abort();
    expect((await left).generation).toBe(6);
  });

  it('a generation that does not grow, and a change after done, are defects', () => {
    const { publisher } = setup();
    expect(() => publisher.publish('phase', { n: 1 }, 5)).toThrow(/does not follow/);
    publisher.publish('done', { n: 1 }, 6);
    expect(() => publisher.publish('phase', { n: 1 }, 7)).toThrow(/after the end/);
  });

  it('forgets what is older than its history', () => {
    const { publisher } = setup();
    for (let n = 6; n < 6 + 300; n += 1) publisher.publish('phase', { n }, n);
    expect(publisher.since(5)).toBeNull();
    expect(publisher.since(300)).toHaveLength(5);
  });
});
