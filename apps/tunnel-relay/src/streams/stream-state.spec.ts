import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PumpEnd } from '../pump/index.js';
import { type StreamEnd, type StreamEvent, type StreamState, step } from './stream-state.js';

const head = Buffer.from('early');
const local = (fd: number): StreamEnd => ({ side: 'local', fd });
const peer = (fd: number): StreamEnd => ({ side: 'peer', fd, head, tls: null });
const attach = (end: StreamEnd): StreamEvent => ({ t: 'attach', end });

function run(...events: StreamEvent[]) {
  let state: StreamState = { t: 'waiting' };
  const effects = events.flatMap((event) => {
    const next = step(state, event);
    state = next.state;
    return next.effects;
  });
  return { state: state as StreamState, effects };
}

describe('a stream', () => {
  it.each([
    [local(3), peer(4)],
    [peer(4), local(3)],
  ])('starts when both ends are there, whichever comes first', (first, second) => {
    const { state, effects } = run(attach(first), attach(second));
    expect([state, effects]).toEqual([{ t: 'streaming' }, [{ t: 'start', local: 3, remote: 4, head, tls: null }]]);
  });

  it.each<[PumpEnd, StreamState]>([
    [{ t: 'clean' }, { t: 'closed' }],
    [
      { t: 'aborted', reason: 'why' },
      { t: 'failed', reason: 'why' },
    ],
    [
      { t: 'crashed', error: new Error('no memory') },
      { t: 'failed', reason: 'the thread of the stream died: no memory' },
    ],
    [
      { t: 'failed', side: 'local', direction: 'to-local', errno: 32, name: 'EPIPE' },
      { t: 'failed', reason: 'the connection to the QEMU of this host broke (EPIPE) while bytes went from the peer' },
    ],
    [
      { t: 'failed', side: 'remote', direction: 'to-local', errno: 104, name: 'ECONNRESET' },
      { t: 'failed', reason: 'the connection to the relay of the other host broke (ECONNRESET) while bytes went from the peer' },
    ],
  ])('tells how its pump ended: %o', (end, state) => {
    expect(run(attach(local(3)), attach(peer(4)), { t: 'ended', end }).state).toEqual(state);
  });

  it('keeps the first reason, and turns away who comes late', () => {
    const { state, effects } = run({ t: 'fail', reason: 'first' }, { t: 'fail', reason: 'second' }, attach(local(3)));
    expect([state, effects]).toEqual([{ t: 'failed', reason: 'first' }, [{ t: 'reset', fd: 3 }]]);
  });

  it('what cannot happen throws', () => {
    expect(() => run(attach(local(3)), attach(local(4)))).toThrow(/attached cannot meet "attach"/);
    expect(() => run({ t: 'ended', end: { t: 'clean' } })).toThrow(/waiting cannot meet "ended"/);
    expect(() => run(attach(local(3)), attach(peer(4)), attach(peer(5)))).toThrow(/streaming cannot meet "attach"/);
  });

  it('I6: every descriptor that comes in goes out by exactly one effect, in any order of arrivals, failures and ends', () => {
    const arrivals = fc.shuffledSubarray(['local', 'peer', 'fail', 'fail', 'late'] as const, { minLength: 1 });
    fc.assert(
      fc.property(arrivals, fc.boolean(), (order, cleanEnd) => {
        let fd = 10;
        const given: number[] = [];
        const out: number[] = [];
        let state = { t: 'waiting' } as StreamState; // or the compiler takes it for waiting for ever
        const meet = (event: StreamEvent) => {
          const next = step(state, event);
          state = next.state;
          for (const effect of next.effects) {
            if (effect.t === 'start') out.push(effect.local, effect.remote);
            if (effect.t === 'reset') out.push(effect.fd);
          }
        };
        for (const what of order) {
          if (what === 'fail') meet({ t: 'fail', reason: 'x' });
          else if (what !== 'late' || state.t === 'failed') {
            fd += 1;
            given.push(fd);
            meet(attach(what === 'peer' ? peer(fd) : local(fd)));
          }
        }
        if (state.t === 'streaming' && cleanEnd) meet({ t: 'ended', end: { t: 'clean' } });
        meet({ t: 'fail', reason: 'the last word' });
        expect(out.sort()).toEqual(given.sort());
        expect(['closed', 'failed']).toContain(state.t);
      }),
    );
  });
});
