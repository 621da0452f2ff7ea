import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Activity,
  type DestinationEffect,
  type DestinationEvent,
  type DestinationState,
  type DestinationStep,
  isSettled,
  prepared,
  restarted,
  type SourceWord,
  stepDestination,
} from './destination-machine.js';
import { isFinal, unbound } from './record.js';
import { destination, permit, record, wrongPermit } from './testing/states.js';

const holds: SourceWord = { t: 'holds' };
const silent: SourceWord = { t: 'silent' };
const goneWith = (facts: Partial<Extract<SourceWord, { t: 'gone' }>>): SourceWord => ({
  t: 'gone',
  permit: null,
  destroyed: false,
  ranOn: false,
  ...facts,
});
const word = (said: SourceWord): DestinationEvent => ({ t: 'source-word', word: said });

function outcome({ state, effects }: DestinationStep): string {
  const activity = state.activity.t === 'held' ? `held:${state.activity.reason}` : state.activity.t;
  return [state.record.decision, activity, ...effects.map((effect) => effect.t)].join(' ');
}

/** One line per event: what it was, and what came of it. */
function conversation(from: DestinationState, events: readonly DestinationEvent[]): { lines: string[]; state: DestinationState } {
  let state = from;
  const lines = events.map((event) => {
    const made = stepDestination(state, event);
    state = made.state;
    return `${event.t}: ${outcome(made)}`;
  });
  return { lines, state };
}

describe('the conversations of a destination', () => {
  it('a good Finish: lease, committing, recheck, cont, proof, committed', () => {
    const { lines, state } = conversation(prepared(record('open')), [
      { t: 'qemu-loaded' },
      { t: 'finish', permit },
      { t: 'lease-taken' },
      { t: 'rechecked', ok: true },
      { t: 'qemu-resumed' },
    ]);
    expect(lines).toEqual([
      'qemu-loaded: open idle',
      'finish: open taking-lease take-lease',
      'lease-taken: committing rechecking recheck',
      'rechecked: committing cont-sent cont',
      'qemu-resumed: committed idle',
    ]);
    expect(isSettled(state)).toBe(true);
  });

  it('a guest that stays paused is committed without a cont', () => {
    const from = destination({ record: record('open', 'paused') });
    expect(conversation(from, [{ t: 'finish', permit }, { t: 'lease-taken' }, { t: 'rechecked', ok: true }]).lines.at(-1)).toBe(
      'rechecked: committed idle',
    );
  });

  it('Finish before the image is known to be loaded waits for it', () => {
    const from = destination({ qemu: 'incoming' });
    expect(conversation(from, [{ t: 'finish', permit }, { t: 'qemu-loaded' }]).lines).toEqual([
      'finish: open idle',
      'qemu-loaded: open taking-lease take-lease',
    ]);
  });

  it('a wrong permit changes nothing', () => {
    expect(stepDestination(destination(), { t: 'finish', permit: wrongPermit })).toEqual({ state: destination(), effects: [] });
  });

  it('an abort takes its evidence twice, and gives the lease back in between', () => {
    expect(
      conversation(destination(), [
        { t: 'abort-wanted', reason: 'lost' },
        word(holds),
        { t: 'lease-returned', lease: 'l2' },
        word(holds),
      ]).lines,
    ).toEqual([
      'abort-wanted: open asking ask-source',
      'source-word: open returning-lease return-lease',
      'lease-returned: open asking-again ask-source',
      'source-word: aborted idle kill',
    ]);
  });

  it('evidence that no longer holds when the lease is back starts the rule again', () => {
    const asked = conversation(destination(), [
      { t: 'abort-wanted', reason: 'lost' },
      word(holds),
      { t: 'lease-returned', lease: 'l2' },
    ]).state;
    expect(outcome(stepDestination(asked, word(silent)))).toBe('open held:source-silent retry-later');
    expect(outcome(stepDestination(asked, word(goneWith({ permit }))))).toBe('open taking-lease take-lease');
    expect(outcome(stepDestination(asked, word(goneWith({}))))).toBe('open held:source-crashed-unpermitted retry-later');
  });

  it('an image that is not loaded is aborted at once', () => {
    expect(outcome(stepDestination(destination({ qemu: 'incoming' }), { t: 'abort-wanted', reason: 'lost' }))).toBe(
      'aborted idle kill',
    );
    // With the permit the image has loaded, heard of or not.
    const permitted = destination({ qemu: 'incoming', permitted: true });
    expect(outcome(stepDestination(permitted, { t: 'abort-wanted', reason: 'lost' }))).toBe('open held:qemu-silent retry-later');
  });

  it('a QEMU that does not answer may hold a complete image: the source is asked', () => {
    const { lines } = conversation(destination({ qemu: 'incoming' }), [
      { t: 'qemu-silent' },
      { t: 'abort-wanted', reason: 'lost' },
      word(goneWith({ permit })),
    ]);
    expect(lines).toEqual([
      'qemu-silent: open idle',
      'abort-wanted: open asking ask-source',
      'source-word: open held:qemu-silent retry-later',
    ]);
  });

  it('a wish to abort whose record could not be written is not lost', () => {
    const { lines } = conversation(destination({ qemu: 'incoming' }), [{ t: 'journal-failed' }, { t: 'retry' }]);
    expect(lines).toEqual(['journal-failed: open held:journal-unwritable retry-later', 'retry: aborted idle kill']);
    const finishing = destination({ activity: { t: 'taking-lease' }, permitted: true });
    expect(conversation(finishing, [{ t: 'journal-failed' }, { t: 'retry' }]).lines.at(-1)).toBe(
      'retry: open taking-lease take-lease',
    );
  });

  it.each([
    ['the user destroyed it', goneWith({ destroyed: true }), 'open returning-lease return-lease'],
    ['it ran on there', goneWith({ ranOn: true }), 'open returning-lease return-lease'],
    ['it is gone without a permit', goneWith({}), 'open held:source-crashed-unpermitted retry-later'],
    ['its permit is not the right one', goneWith({ permit: wrongPermit }), 'open held:source-crashed-unpermitted retry-later'],
    ['it is gone with the permit', goneWith({ permit }), 'open taking-lease take-lease'],
    ['nobody answers', silent, 'open held:source-silent retry-later'],
  ] as const)('a loaded destination, when %s', (_, said, expected) => {
    expect(outcome(stepDestination(destination({ activity: { t: 'asking' }, abortReason: 'lost' }), word(said)))).toBe(expected);
  });

  it('Finish that came while the question was under way goes on when the answer is no evidence', () => {
    const { lines } = conversation(destination({ activity: { t: 'asking' } }), [{ t: 'finish', permit }, word(silent)]);
    expect(lines).toEqual(['finish: open asking', 'source-word: open taking-lease take-lease']);
  });

  it('a refused lease refuses Finish, and is not asked for again before a pause', () => {
    const { lines } = conversation(destination({ activity: { t: 'taking-lease' }, permitted: true }), [
      { t: 'lease-refused' },
      { t: 'retry' },
      word(goneWith({ permit })),
      { t: 'lease-refused' },
    ]);
    expect(lines).toEqual([
      'lease-refused: open held:lease-refused retry-later',
      'retry: open asking ask-source',
      'source-word: open taking-lease take-lease',
      'lease-refused: open held:lease-refused retry-later',
    ]);
  });
});

describe('a cont', () => {
  const sent = destination({ record: record('committing'), activity: { t: 'cont-sent' }, wroteCommitting: true, cont: 'sent' });

  it("refused, and the source holds the guest: QEMU's exit is proven, then aborted", () => {
    expect(
      conversation(sent, [
        { t: 'cont-refused' },
        word(holds),
        { t: 'lease-returned', lease: 'l2' },
        word(holds),
        { t: 'qemu-gone' },
      ]).lines,
    ).toEqual([
      'cont-refused: committing asking ask-source',
      'source-word: committing returning-lease return-lease',
      'lease-returned: committing asking-again ask-source',
      'source-word: committing killing kill',
      'qemu-gone: aborted idle',
    ]);
  });

  it.each([silent, goneWith({}), goneWith({ permit }), goneWith({ destroyed: true }), goneWith({ ranOn: true })])(
    'refused, without "I hold it" (%j): held, then tried again',
    (said) => {
      expect(conversation(sent, [{ t: 'cont-refused' }, word(said), { t: 'retry' }]).lines.slice(1)).toEqual([
        'source-word: committing held:cont-refused retry-later',
        'retry: committing taking-lease take-lease',
      ]);
    },
  );

  it('refused in another life than the one that wrote committing never leads to an abort', () => {
    expect(outcome(stepDestination({ ...sent, wroteCommitting: false }, { t: 'cont-refused' }))).toBe(
      'committing held:cont-refused retry-later',
    );
  });

  it('without an answer is looked for, then sent again; a later refusal proves nothing', () => {
    const { lines, state } = conversation(sent, [
      { t: 'cont-unproven' },
      { t: 'retry' },
      { t: 'cont-unproven' },
      { t: 'lease-taken' },
      { t: 'rechecked', ok: true },
      { t: 'cont-refused' },
    ]);
    expect(lines).toEqual([
      'cont-unproven: committing held:no-proof retry-later',
      'retry: committing proving prove',
      'cont-unproven: committing taking-lease take-lease',
      'lease-taken: committing rechecking recheck',
      'rechecked: committing cont-sent cont',
      'cont-refused: committing held:cont-refused retry-later',
    ]);
    expect(outcome(stepDestination(state, { t: 'qemu-gone' }))).toBe('unknown idle');
  });

  it('whose QEMU is gone before the proof ends in unknown', () => {
    expect(outcome(stepDestination(sent, { t: 'qemu-gone' }))).toBe('unknown idle');
    expect(outcome(stepDestination({ ...sent, activity: { t: 'proving' } }, { t: 'qemu-gone' }))).toBe('unknown idle');
  });

  it('that was never sent by the life that wrote committing leaves the abort open', () => {
    const rechecking = destination({ record: record('committing'), activity: { t: 'rechecking' }, wroteCommitting: true });
    expect(
      conversation(rechecking, [
        { t: 'qemu-gone' },
        { t: 'rechecked', ok: false },
        { t: 'lease-returned', lease: 'l2' },
      ]).lines.at(-1),
    ).toBe('lease-returned: aborted idle');
    expect(outcome(stepDestination({ ...rechecking, qemu: 'gone', wroteCommitting: false }, { t: 'rechecked', ok: true }))).toBe(
      'unknown idle',
    );
  });

  it('that ran after it was refused, while QEMU is being killed, ends in unknown', () => {
    const killing = destination({
      record: record('committing'),
      activity: { t: 'killing', lease: 'l2', reason: 'r' },
      wroteCommitting: true,
      cont: 'refused',
    });
    expect(conversation(killing, [{ t: 'qemu-resumed' }, { t: 'qemu-gone' }]).lines).toEqual([
      'qemu-resumed: committing killing',
      'qemu-gone: unknown idle',
    ]);
  });
});

describe('the restart of a destination agent', () => {
  it.each([
    ['open', 'run', 'incoming', 'aborted idle kill'],
    ['open', 'run', 'loaded', 'open asking ask-source'],
    ['open', 'run', 'silent', 'open asking ask-source'],
    ['open', 'run', 'gone', 'open returning-lease return-lease'],
    ['committing', 'run', 'resumed', 'committed idle'],
    ['committing', 'run', 'loaded', 'committing taking-lease take-lease'],
    ['committing', 'run', 'gone', 'unknown idle'],
    ['committing', 'paused', 'gone', 'committing returning-lease return-lease'],
    ['committed', 'run', 'resumed', 'committed idle'],
    ['committed', 'run', 'gone', 'committed idle'],
    ['aborted', 'run', 'loaded', 'aborted idle kill'],
    ['aborted', 'run', 'incoming', 'aborted idle kill'],
    ['aborted', 'run', 'gone', 'aborted idle'],
    ['unknown', 'run', 'gone', 'unknown idle'],
  ] as const)('with the record %s (%s) and QEMU %s: %s', (decision, mode, qemu, expected) => {
    expect(outcome(restarted(record(decision, mode), qemu))).toBe(expected);
  });
});

describe('an administrator', () => {
  it('who keeps the source ends the destination without its word', () => {
    const held = destination({ activity: { t: 'held', reason: 'source-crashed-unpermitted' }, abortReason: 'x' });
    expect(
      conversation(held, [
        { t: 'resolve', keep: 'source' },
        { t: 'lease-returned', lease: null },
      ]).lines,
    ).toEqual(['resolve: open returning-lease return-lease', 'lease-returned: aborted idle kill']);
  });

  it('who keeps the destination finishes it, also after having said otherwise', () => {
    const held = destination({ activity: { t: 'held', reason: 'source-crashed-unpermitted' }, overruled: true });
    expect(outcome(stepDestination(held, { t: 'resolve', keep: 'destination' }))).toBe('open taking-lease take-lease');
  });
});

const activities: readonly Activity[] = [
  { t: 'idle' },
  { t: 'taking-lease' },
  { t: 'rechecking' },
  { t: 'cont-sent' },
  { t: 'proving' },
  { t: 'asking' },
  { t: 'returning-lease' },
  { t: 'asking-again', lease: 'l2' },
  { t: 'killing', lease: 'l2', reason: 'r' },
  { t: 'held', reason: 'source-silent' },
];

describe('answers that nobody waits for', () => {
  const answers: readonly [DestinationEvent, readonly Activity['t'][]][] = [
    [{ t: 'lease-taken' }, ['taking-lease']],
    [{ t: 'lease-refused' }, ['taking-lease']],
    [{ t: 'lease-unavailable' }, ['taking-lease', 'returning-lease']],
    [{ t: 'lease-returned', lease: null }, ['returning-lease']],
    [{ t: 'rechecked', ok: true }, ['rechecking']],
    [{ t: 'cont-refused' }, ['cont-sent']],
    [{ t: 'cont-unproven' }, ['cont-sent', 'proving']],
    [word(holds), ['asking', 'asking-again']],
    [{ t: 'retry' }, ['held']],
  ];
  const pairs = answers.flatMap(([event, waiting]) =>
    activities.filter(({ t }) => !waiting.includes(t)).map((activity) => [event, activity] as const),
  );
  it.each(pairs)('%j changes nothing in %j', (event, activity) => {
    for (const decision of ['open', 'committing'] as const) {
      const state = destination({ record: record(decision), activity, wroteCommitting: true });
      expect(stepDestination(state, event)).toEqual({ state, effects: [] });
    }
  });
});

const anyEvent: fc.Arbitrary<DestinationEvent> = fc.constantFrom<DestinationEvent>(
  { t: 'bind', binding: { ...record('open'), mode: 'run' } },
  { t: 'qemu-loaded' },
  { t: 'qemu-silent' },
  { t: 'qemu-resumed' },
  { t: 'qemu-gone' },
  { t: 'finish', permit },
  { t: 'finish', permit: wrongPermit },
  { t: 'abort-wanted', reason: 'lost' },
  word(holds),
  word(silent),
  word(goneWith({})),
  word(goneWith({ permit })),
  word(goneWith({ destroyed: true })),
  { t: 'lease-taken' },
  { t: 'lease-refused' },
  { t: 'lease-unavailable' },
  { t: 'lease-returned', lease: 'l2' },
  { t: 'rechecked', ok: true },
  { t: 'rechecked', ok: false },
  { t: 'cont-refused' },
  { t: 'cont-unproven' },
  { t: 'journal-failed' },
  { t: 'retry' },
);

describe('whatever happens', () => {
  const stories = fc.array(anyEvent, { maxLength: 40 });
  const follow = (judge: (before: DestinationState, event: DestinationEvent, made: DestinationStep) => boolean) => {
    const holdsFor = (from: DestinationState) => (events: readonly DestinationEvent[]) => {
      let state = from;
      return events.every((event) => {
        const made = stepDestination(state, event);
        const good = judge(state, event, made);
        state = made.state;
        return good;
      });
    };
    for (const from of [
      prepared(record('open')),
      destination(),
      restarted(record('committing'), 'loaded').state,
      destination({ record: record('open', 'paused') }),
    ]) {
      fc.assert(fc.property(stories, holdsFor(from)), { numRuns: 1_500 });
    }
  };
  const has = (made: DestinationStep, t: DestinationEffect['t']) => made.effects.some((effect) => effect.t === t);

  it('I9: a final record never changes', () =>
    follow((before, _, made) => !isFinal(before.record) || made.state.record === before.record));

  it('cont is sent only while committing, for a guest that is to run, from a recheck that held', () =>
    follow(
      (_, event, made) =>
        !has(made, 'cont') ||
        (made.state.record.decision === 'committing' && made.state.record.mode === 'run' && event.t === 'rechecked' && event.ok),
    ));

  it('I2: a loaded QEMU is killed only on the word of the source', () =>
    follow((before, event, made) => {
      if (!has(made, 'kill') || (before.qemu !== 'loaded' && before.qemu !== 'silent')) return true;
      return (
        event.t === 'source-word' &&
        (event.word.t === 'holds' || (event.word.t === 'gone' && event.word.destroyed && before.record.decision === 'open'))
      );
    }));

  it('committed needs the proof, or a guest that is to stay paused', () =>
    follow((before, event, made) => {
      if (made.state.record.decision !== 'committed' || before.record.decision === 'committed') return true;
      return event.t === 'qemu-resumed' || (event.t === 'rechecked' && event.ok && made.state.record.mode === 'paused');
    }));

  it('without the permit nothing is ever committed', () => {
    const without = stories.map((events) =>
      events.filter(
        (event) =>
          !('permit' in event && event.permit === permit) &&
          !(event.t === 'source-word' && event.word.t === 'gone' && event.word.permit === permit),
      ),
    );
    fc.assert(
      fc.property(without, (events) =>
        ['open', 'aborted'].includes(conversation(prepared(record('open')), events).state.record.decision),
      ),
    );
  });

  it('no circle of questions and answers goes on without a pause', () => {
    const said = fc.constantFrom(
      holds,
      silent,
      goneWith({}),
      goneWith({ permit }),
      goneWith({ destroyed: true }),
      goneWith({ permit: wrongPermit }),
    );
    const lease = fc.constantFrom<'lease-taken' | 'lease-refused' | 'lease-unavailable'>(
      'lease-taken',
      'lease-refused',
      'lease-unavailable',
    );
    const qemu = fc.constantFrom<DestinationState['qemu']>('incoming', 'silent', 'loaded');
    const start = fc.constantFrom<DestinationEvent>({ t: 'abort-wanted', reason: 'x' }, { t: 'finish', permit });
    fc.assert(
      fc.property(said, lease, qemu, start, fc.boolean(), fc.boolean(), (heard, taken, known, event, permitted, refuses) => {
        const reply = (effect: DestinationEffect): DestinationEvent | null => {
          const replies = {
            'take-lease': { t: taken },
            'return-lease': { t: 'lease-returned', lease: null },
            'recheck': { t: 'rechecked', ok: true },
            'cont': { t: refuses ? 'cont-refused' : 'cont-unproven' },
            'prove': { t: 'cont-unproven' },
            'ask-source': word(heard),
            'kill': { t: 'qemu-gone' },
            'retry-later': null,
          } satisfies Record<DestinationEffect['t'], DestinationEvent | null>;
          return replies[effect.t];
        };
        let made = stepDestination(destination({ qemu: known, permitted }), event);
        for (let count = 0; count < 12; count += 1) {
          const next = made.effects.map(reply).find((answer) => answer !== null);
          if (next === undefined || next === null) return true;
          made = stepDestination(made.state, next);
        }
        return false;
      }),
      { numRuns: 500 },
    );
  });
});

describe('S42: the binding of an unbound record (v2)', () => {
  const { permitDigest, source } = record('open');
  const binding = { permitDigest, source, lease: 'l1', mode: 'run' } as const;
  const open = destination({ record: { ...record('open'), ...unbound }, qemu: 'incoming' });
  const bindEvent = { t: 'bind', binding } as const;

  it('writes the source into it, and nothing else follows', () => {
    expect(stepDestination(open, bindEvent)).toEqual({ state: { ...open, record: record('open') }, effects: [] });
  });

  it.each([
    ['what has loaded', { qemu: 'loaded' }],
    ['what may have loaded', { qemu: 'silent' }],
    ['what has ended', { qemu: 'gone' }],
    ['what is to be aborted', { abortReason: 'lost' }],
    ['what is held', { activity: { t: 'held', reason: 'source-silent' } }],
    ['what is bound', { record: record('open') }],
    ['what is aborted', { record: { ...record('aborted'), ...unbound } }],
  ] as [string, Partial<DestinationState>][])('does not bind %s', (_, facts) => {
    const state = { ...open, ...facts };
    expect(stepDestination(state, bindEvent)).toEqual({ state, effects: [] });
  });

  it.each([permit, wrongPermit, ''])('no permit finishes it: %j', (given) => {
    const state = { ...open, qemu: 'loaded' } as const;
    expect(stepDestination(state, { t: 'finish', permit: given })).toEqual({ state, effects: [] });
  });

  it('what is not loaded is aborted, and what is loaded has nobody to ask: held', () => {
    expect(outcome(stepDestination(open, { t: 'abort-wanted', reason: 'lost' }))).toBe('aborted idle kill');
    const { lines } = conversation({ ...open, qemu: 'loaded' }, [{ t: 'abort-wanted', reason: 'lost' }, word(silent)]);
    expect(lines.at(-1)).toContain('held:source-silent');
  });
});
