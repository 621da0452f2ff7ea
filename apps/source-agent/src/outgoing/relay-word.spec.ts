import type { StreamResource } from '@vmferry/api';
import type { CallOptions } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import { ManualClock, systemClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { relayWord } from './relay-word.js';

const id = '6b1b9df5-6a20-4a0c-b6a2-4f4e8ad4f0a1';
const relayOf = (...answers: (Partial<StreamResource> | VmferryError)[]) => ({
  stream: async () => {
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer instanceof VmferryError) throw answer;
    return answer as StreamResource;
  },
});

describe('relayWord', () => {
  it.each<[string, Partial<StreamResource> | VmferryError, RegExp]>([
    ['the reason of the stream', { state: 'failed', reason: 'the peer broke' }, /says of stream 6b1b9df5.*: the peer broke\.$/],
    ['a clean end', { state: 'closed', reason: null }, /end cleanly/],
    ['a relay that is gone', new VmferryError('peer-unreachable', 'No answer.'), /cannot be reached/],
    ['a relay that was started again', new VmferryError('stream-not-found', 'No stream.'), /started again\.$/],
    ['another refusal', new VmferryError('forbidden', 'Not for you.'), /does not say why: Not for you\.$/],
  ])('%s', async (_what, answer, word) => {
    expect(await relayWord(relayOf(answer), id, systemClock)).toMatch(word);
  });

  it('waits for a reason that comes a moment later', async () => {
    const relay = relayOf({ state: 'streaming', reason: null }, { state: 'failed', reason: 'the wire was cut' });
    expect(await relayWord(relay, id, systemClock)).toMatch(/the wire was cut/);
  });

  it('waits for half a second and no longer', async () => {
    const clock = new ManualClock();
    const stream = (_id: string, { signal }: CallOptions = {}) =>
      new Promise<never>((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))));
    const word = relayWord({ stream }, id, clock);
    clock.advance(500);
    expect(await word).toMatch(/has no reason/);
  });
});
