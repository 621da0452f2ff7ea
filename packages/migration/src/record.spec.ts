import { describe, expect, it } from 'vitest';
import { answerOf, type Decision, decide, isFinal } from './record.js';
import { record } from './testing/states.js';

const decisions: readonly Decision[] = ['open', 'committing', 'committed', 'aborted', 'unknown'];
const allowed = ['open>committing', 'open>aborted', 'committing>committed', 'committing>aborted', 'committing>unknown'];

describe('the outcome record', () => {
  it.each(decisions.flatMap((from) => decisions.map((to) => [from, to] as const)))('I9: %s to %s', (from, to) => {
    const step = () => decide(record(from), to, { reason: 'why', lease: 'l2' });
    if (allowed.includes(`${from}>${to}`)) expect(step()).toEqual({ ...record(from), decision: to, reason: 'why', lease: 'l2' });
    else expect(step).toThrow(expect.objectContaining({ code: 'internal' }));
  });

  it('keeps the lease and the reason unless told others', () => {
    expect(decide({ ...record('open'), lease: 'l1', reason: 'r' }, 'committing')).toMatchObject({ lease: 'l1', reason: 'r' });
    expect(decide({ ...record('open'), lease: 'l1' }, 'aborted', { lease: null }).lease).toBeNull();
  });

  it('is final exactly for committed, aborted and unknown', () => {
    expect(decisions.filter((decision) => isFinal(record(decision)))).toEqual(['committed', 'aborted', 'unknown']);
  });

  it('answers pending while committing, and itself otherwise', () => {
    expect(decisions.map((decision) => answerOf(record(decision)))).toEqual([
      'open',
      'pending',
      'committed',
      'aborted',
      'unknown',
    ]);
  });
});
