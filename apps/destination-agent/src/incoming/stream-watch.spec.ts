import { describe, expect, it } from 'vitest';
import { settled, timedContext } from '../testing/destination-context.js';
import type { IncomingStream } from './stream.js';
import { StreamWatch } from './stream-watch.js';

/** A stream whose silence the spec says; `ask` lets a question wait for its answer. */
function watched() {
  const { context, clock } = timedContext();
  const told: string[] = [];
  const silence = { ms: 0 as number | null, answer: () => Promise.resolve() };
  const stream = {
    silentMs: async () => {
      await silence.answer();
      return silence.ms;
    },
  } as unknown as IncomingStream; // A watch asks a stream for nothing else.
  const watch = new StreamWatch(context, stream, (code) => told.push(code));
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 250) {
      clock.advance(250);
      await settled();
    }
  };
  return { clock, told, silence, watch, pass };
}

describe('StreamWatch', () => {
  it('complains of a stream that does not begin, at the attach timeout and not before', async () => {
    const { told, pass } = watched();
    await pass(4_750);
    expect(told).toEqual([]);
    await pass(250);
    expect(told).toEqual(['stream-silent']);
  });

  it('complains of a stream that falls silent, and never of one that goes on', async () => {
    const { told, silence, watch, pass } = watched();
    watch.streaming();
    await pass(60_000);
    expect(told).toEqual([]);
    silence.ms = 3_000;
    await pass(1_000);
    expect(told).toEqual(['stream-silent']);
  });

  it('asks again when the stream could not be asked', async () => {
    const { told, silence, watch, pass } = watched();
    watch.streaming();
    silence.answer = () => Promise.reject(new Error('the relay is busy'));
    await pass(2_000);
    Object.assign(silence, { ms: 0, answer: () => Promise.resolve() });
    await pass(6_000);
    expect(told).toEqual([]);
    silence.ms = 9_000;
    await pass(1_000);
    expect(told).toEqual(['stream-silent']);
  });

  it.each<[string, () => Promise<void>]>([
    ['refuses', () => Promise.reject(new Error('the relay is gone'))],
    ['does not answer at all', () => new Promise(() => undefined)],
  ])('takes a stream for silent when whoever knows of it %s for as long', async (_how, answer) => {
    const { told, silence, watch, pass } = watched();
    watch.streaming();
    await pass(5_000);
    silence.answer = answer;
    await pass(2_000);
    expect(told).toEqual([]);
    await pass(2_500);
    expect(told).toEqual(['stream-silent']);
  });

  it('once the image is loaded waits for Finish alone, however silent the stream is', async () => {
    const { told, silence, watch, pass } = watched();
    watch.streaming();
    silence.ms = 60_000;
    watch.loaded();
    await pass(2_750);
    expect(told).toEqual([]);
    await pass(250);
    expect(told).toEqual(['stream-failed']);
  });

  it('an image that loads while the stream is asked is not called silent, and its own timer stays', async () => {
    const { told, silence, watch, pass } = watched();
    let answer = () => {};
    silence.answer = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    watch.streaming();
    await pass(750);
    watch.loaded();
    silence.ms = 60_000;
    answer();
    await settled();
    expect(told).toEqual([]);
    await pass(3_000);
    expect(told).toEqual(['stream-failed']);
  });

  it('tells nothing and keeps no timer once it is stopped', async () => {
    const { clock, told, watch, pass } = watched();
    watch.streaming();
    watch.stop();
    watch.streaming();
    watch.loaded();
    await pass(60_000);
    expect([told, clock.timers]).toEqual([[], 0]);
  });
});
