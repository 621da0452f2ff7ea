import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer } from './record.js';
import {
  begun,
  hasEnded,
  phaseOf,
  restartedSource,
  type SourceEvent,
  type SourceStage,
  type SourceState,
  stepSource,
  wordOf,
} from './source-machine.js';
import { permit, source } from './testing/states.js';

const stages: readonly SourceStage[] = ['begun', 'performing', 'permitted', 'leaving', 'resuming', 'left', 'stayed', 'lost'];
const rank: Readonly<Record<SourceStage, number>> = {
  begun: 0,
  performing: 1,
  permitted: 2,
  leaving: 3,
  resuming: 3,
  left: 4,
  stayed: 4,
  lost: 4,
};
const peer = { url: 'http://b', storeId: 'b' };

function outcome({ state, effects }: { state: SourceState; effects: readonly { t: string }[] }): string {
  return [state.journal.stage, ...effects.map((effect) => effect.t)].join(' ');
}

/** Whether the record was heard to say this, by asking or by reading it. */
function says(event: SourceEvent, answer: Answer): boolean {
  return (event.t === 'answer' || event.t === 'read') && event.answer === answer;
}

const events: readonly SourceEvent[] = [
  { t: 'perform', destination: peer },
  { t: 'qemu-completed' },
  { t: 'perform-failed' },
  { t: 'qemu-gone' },
  { t: 'cancel' },
  { t: 'confirm' },
  { t: 'destroy' },
  ...(['open', 'pending', 'committed', 'aborted', 'unknown', 'silent'] as const).flatMap((answer) => [
    { t: 'answer' as const, answer, lease: null },
    { t: 'read' as const, answer, lease: null },
  ]),
  { t: 'retry' },
  { t: 'resumed' },
  { t: 'resume-failed' },
  { t: 'cleaned' },
];

describe('the restart of a source agent', () => {
  it.each([
    ['begun', 'alive', 'stayed'],
    ['begun', 'gone', 'lost'],
    ['performing', 'alive', 'performing cancel-qemu'],
    ['performing', 'gone', 'performing ask'],
    ['permitted', 'alive', 'permitted ask'],
    ['permitted', 'gone', 'permitted drive-finish'],
    ['resuming', 'alive', 'resuming resume'],
    ['resuming', 'gone', 'lost acknowledge'],
    ['leaving', 'alive', 'leaving leave'],
    ['leaving', 'gone', 'leaving leave'],
    ['left', 'gone', 'left'],
    ['stayed', 'alive', 'stayed'],
    ['lost', 'gone', 'lost'],
  ] as const)('at %s with QEMU %s: %s', (stage, qemu, expected) => {
    expect(outcome(restartedSource(source(stage).journal, qemu))).toBe(expected);
  });

  it.each(['begun', 'performing'] as const)('at %s carries out a destroy that was journalled', (stage) => {
    expect(outcome(restartedSource(source(stage, {}, { destroyIntended: true }).journal, 'alive'))).toBe(`${stage} destroy-qemu`);
  });

  it('cancels, and takes completed for an answer', () => {
    const { state } = restartedSource(source('performing').journal, 'alive');
    expect(outcome(stepSource(state, { t: 'qemu-completed' }))).toBe('permitted ask');
  });
});

describe('stepSource', () => {
  it.each([
    ['begun', { t: 'perform', destination: peer }, 'performing'],
    ['begun', { t: 'cancel' }, 'stayed acknowledge'],
    ['begun', { t: 'destroy' }, 'begun destroy-qemu'],
    ['performing', { t: 'qemu-completed' }, 'permitted'],
    ['performing', { t: 'cancel' }, 'performing cancel-qemu'],
    ['performing', { t: 'perform-failed' }, 'resuming resume'],
    ['performing', { t: 'qemu-gone' }, 'performing ask'],
    ['permitted', { t: 'confirm' }, 'permitted ask'],
    ['permitted', { t: 'cancel' }, 'permitted ask'],
    ['permitted', { t: 'destroy' }, 'permitted ask'],
    ['permitted', { t: 'perform-failed' }, 'permitted'],
    ['permitted', { t: 'qemu-gone' }, 'permitted drive-finish'],
    ['permitted', { t: 'answer', answer: 'committed', lease: null }, 'leaving leave'],
    ['permitted', { t: 'answer', answer: 'aborted', lease: 'l2' }, 'resuming resume'],
    ['permitted', { t: 'answer', answer: 'unknown', lease: null }, 'permitted retry-later'],
    ['permitted', { t: 'answer', answer: 'silent', lease: null }, 'permitted retry-later'],
    ['permitted', { t: 'read', answer: 'committed', lease: null }, 'leaving leave'],
    ['permitted', { t: 'read', answer: 'aborted', lease: 'l2' }, 'resuming resume'],
    ['permitted', { t: 'read', answer: 'unknown', lease: null }, 'permitted retry-later'],
    ['permitted', { t: 'read', answer: 'silent', lease: null }, 'permitted'],
    ['permitted', { t: 'read', answer: 'open', lease: null }, 'permitted'],
    ['resuming', { t: 'resumed' }, 'stayed acknowledge'],
    ['resuming', { t: 'resume-failed' }, 'resuming retry-later'],
    ['leaving', { t: 'cleaned' }, 'left acknowledge'],
  ] as [SourceStage, SourceEvent, string][])('%s, %j: %s', (stage, event, expected) => {
    expect(outcome(stepSource(source(stage), event))).toBe(expected);
  });

  it.each([
    ['committed', 'leaving leave'],
    ['aborted', 'lost acknowledge'],
    ['unknown', 'lost acknowledge'],
    ['open', 'performing retry-later'],
    ['pending', 'performing retry-later'],
    ['silent', 'performing retry-later'],
  ] as const)('performing with QEMU gone and no permit, the record says %s: %s', (answer, expected) => {
    expect(outcome(stepSource(source('performing', { qemu: 'gone' }), { t: 'answer', answer, lease: null }))).toBe(expected);
  });

  it('writes the permit for a completed that was seen, also when QEMU is gone since; never over a destroy', () => {
    expect(outcome(stepSource(source('performing', { qemu: 'gone' }), { t: 'qemu-completed' }))).toBe('permitted drive-finish');
    expect(outcome(stepSource(source('performing', {}, { destroyIntended: true }), { t: 'qemu-completed' }))).toBe('performing');
  });

  it('journals that the guest was let go on, but not of a guest that stays paused', () => {
    expect(stepSource(source('performing'), { t: 'perform-failed' }).state.journal.ranOn).toBe(true);
    expect(stepSource(source('performing', {}, { resumeOnRollback: false }), { t: 'perform-failed' }).state.journal.ranOn).toBe(
      false,
    );
  });

  it('keeps the lease that an aborted record gave back', () => {
    expect(stepSource(source('permitted'), { t: 'answer', answer: 'aborted', lease: 'l2' }).state.journal.returnedLease).toBe(
      'l2',
    );
  });

  it.each(stages.flatMap((stage) => events.map((event) => [stage, event] as const)))(
    'I9: from %s no phase goes back on %j',
    (stage, event) => {
      for (const qemu of ['alive', 'gone'] as const) {
        const { state } = stepSource(source(stage, { qemu }), event);
        expect(rank[state.journal.stage]).toBeGreaterThanOrEqual(rank[stage]);
        if (hasEnded(source(stage).journal)) expect(state.journal).toEqual(source(stage).journal);
      }
    },
  );

  it('after the permit resumes only on a record that says aborted, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...events), { maxLength: 30 }), (happening) => {
        let state = begun({ key: source('begun').journal.key, permit, resumeOnRollback: true });
        for (const event of happening) {
          const before = state;
          const made = stepSource(state, event);
          state = made.state;
          const starts = before.journal.stage === 'permitted' && made.effects.some((effect) => effect.t === 'resume');
          if (starts && !says(event, 'aborted')) return false;
          const leaves = before.journal.stage === 'permitted' && made.effects.some((effect) => effect.t === 'leave');
          if (leaves && !says(event, 'committed')) return false;
          if (before.journal.destroyIntended && state.journal.stage === 'permitted' && before.journal.stage !== 'permitted')
            return false;
        }
        return true;
      }),
      { numRuns: 2_000 },
    );
  });
});

it("phases have libvirt's names", () => {
  expect(stages.map(phaseOf)).toEqual([
    'begin3',
    'perform3',
    'perform3_done',
    'confirm3',
    'confirm3_cancelled',
    'none',
    'none',
    'none',
  ]);
});

describe('wordOf', () => {
  it.each([
    ['performing', 'alive', { guest: 'holds', permit: null, ranOn: false }],
    ['performing', 'gone', { guest: 'gone', permit: null, ranOn: false }],
    ['permitted', 'alive', { guest: 'holds', permit: null, ranOn: false }],
    ['permitted', 'gone', { guest: 'gone', permit, ranOn: false }],
    ['leaving', 'alive', { guest: 'gone', permit, ranOn: false }],
    ['left', 'gone', { guest: 'gone', permit, ranOn: false }],
    ['resuming', 'alive', { guest: 'holds', permit: null, ranOn: false }],
    ['resuming', 'gone', { guest: 'gone', permit: null, ranOn: false }],
    ['stayed', 'gone', { guest: 'gone', permit: null, ranOn: true }],
    ['lost', 'gone', { guest: 'gone', permit: null, ranOn: false }],
  ] as const)('at %s with QEMU %s', (stage, qemu, expected) => {
    expect(wordOf(source(stage).journal, qemu)).toEqual({ ...expected, destroyed: false });
  });

  it('never hands out the permit while its QEMU lives', () => {
    for (const stage of stages) {
      const word = wordOf(source(stage).journal, 'alive');
      if (word.guest === 'holds') expect(word.permit).toBeNull();
    }
  });
});
