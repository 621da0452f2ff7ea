import { describe, expect, it } from 'vitest';
import { permitMatches } from './key.js';
import { answerOf, type Binding, bind, type Decision, decide, isBound, isBoundBy, isFinal, unbound } from './record.js';
import { permit, record } from './testing/states.js';

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

describe('S42: the record of protocol v2, until its source binds it', () => {
  const { permitDigest, source } = record('open');
  const binding: Binding = { permitDigest, source, lease: 'l1', mode: 'run' };
  const open = { ...record('open'), ...unbound };

  it('has no source, and its digest is that of no permit', () => {
    expect([isBound(open), isBound(record('open'))]).toEqual([false, true]);
    for (const guess of [permit, '', '0'.repeat(32)]) expect(permitMatches(guess, open.permitDigest)).toBe(false);
  });

  it('is bound once, to all that the cookie of Begin said', () => {
    expect(bind(open, binding)).toEqual({ ...record('open'), lease: 'l1' });
    expect(() => bind(bind(open, binding), binding)).toThrow(expect.objectContaining({ code: 'internal' }));
    expect(() => bind({ ...open, decision: 'aborted' }, binding)).toThrow(expect.objectContaining({ code: 'internal' }));
  });

  it('a guest that was paused when it was bound stays paused, and PAUSED stays what Prepare said', () => {
    expect(bind(open, { ...binding, mode: 'paused' }).mode).toBe('paused');
    expect(bind({ ...open, mode: 'paused' }, binding).mode).toBe('paused');
  });

  it('knows the same word again from another one', () => {
    const bound = bind(open, binding);
    expect(isBoundBy(bound, binding)).toBe(true);
    expect(isBoundBy(open, { ...binding, permitDigest: '' })).toBe(false);
    for (const other of [
      { ...binding, permitDigest: 'f'.repeat(64) },
      { ...binding, lease: null },
      { ...binding, source: { ...source, storeId: 'another' } },
      { ...binding, source: { ...source, url: 'http://another' } },
    ])
      expect(isBoundBy(bound, other)).toBe(false);
  });
});
