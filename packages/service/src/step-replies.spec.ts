import { VmferryError } from '@vmferry/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from './canonical-json.js';
import { StepReplies } from './step-replies.js';

const key = { id: 'm1', nonce: 'ab', step: 'perform' };

describe('StepReplies', () => {
  it('I9: the same body joins the step under way and later gets the same answer', async () => {
    const replies = new StepReplies({ entriesMax: 4 });
    let calls = 0;
    let finish = (_: string) => {};
    const act = () => {
      calls += 1;
      return new Promise<string>((resolve) => {
        finish = resolve;
      });
    };
    const first = replies.take(key, { a: 1, b: [2] }, act);
    const joined = replies.take(key, { b: [2], a: 1 }, act);
    await Promise.resolve();
    finish('done');
    expect([await first, await joined, await replies.take(key, { a: 1, b: [2] }, act), calls]).toEqual([
      'done',
      'done',
      'done',
      1,
    ]);
  });

  it('I9: another body is step-mismatch; another nonce or step is another key', async () => {
    const replies = new StepReplies({ entriesMax: 4 });
    await replies.take(key, { a: 1 }, () => Promise.resolve('x'));
    await expect(replies.take(key, { a: 2 }, () => Promise.resolve('y'))).rejects.toMatchObject({ code: 'step-mismatch' });
    expect(await replies.take({ ...key, nonce: 'cd' }, { a: 2 }, () => Promise.resolve('y'))).toBe('y');
    expect(await replies.take({ ...key, nonce: null, step: 'begin' }, {}, () => Promise.resolve('z'))).toBe('z');
  });

  it('a failure is the answer, a retryable one is forgotten', async () => {
    const replies = new StepReplies({ entriesMax: 4 });
    const failing = (code: 'migration-failed' | 'domain-busy') => (taken: () => void) => {
      taken();
      return Promise.reject(new VmferryError(code, 'no'));
    };
    await expect(replies.take(key, {}, failing('migration-failed'))).rejects.toMatchObject({ code: 'migration-failed' });
    await expect(replies.take(key, {}, () => Promise.resolve('x'))).rejects.toMatchObject({ code: 'migration-failed' });
    await expect(replies.take(key, { b: 1 }, () => Promise.resolve('x'))).rejects.toMatchObject({ code: 'step-mismatch' });
    const other = { ...key, step: 'begin' };
    await expect(replies.take(other, {}, failing('domain-busy'))).rejects.toMatchObject({ code: 'domain-busy' });
    expect(await replies.take(other, {}, () => Promise.resolve('x'))).toBe('x');
  });

  it('a refused body bars no other one: the step was not taken', async () => {
    const replies = new StepReplies({ entriesMax: 4 });
    const refuse = () => Promise.reject(new VmferryError('permit-invalid', 'no'));
    await expect(replies.take(key, { permit: 'wrong' }, refuse)).rejects.toMatchObject({ code: 'permit-invalid' });
    expect(replies.size).toBe(0);
    expect(await replies.take(key, { permit: 'right' }, () => Promise.resolve('x'))).toBe('x');
  });

  it('drops the oldest finished entry, never one under way', async () => {
    const replies = new StepReplies({ entriesMax: 2 });
    const step = (id: string) => ({ ...key, id });
    void replies.take(step('running'), {}, () => new Promise(() => undefined));
    await replies.take(step('old'), {}, () => Promise.resolve(1));
    expect(await replies.take(step('new'), {}, () => new Promise((resolve) => resolve(2)))).toBe(2);
    expect(await replies.take(step('old'), {}, () => Promise.resolve(3))).toBe(3);
    expect(replies.size).toBe(2);
    void replies.take(step('also running'), {}, () => new Promise(() => undefined));
    await expect(replies.take(step('one more'), {}, () => Promise.resolve(4))).rejects.toMatchObject({
      code: 'too-many-requests',
    });
  });

  it('forgets a migration, and only that one', async () => {
    const replies = new StepReplies({ entriesMax: 4 });
    await replies.take(key, {}, () => Promise.resolve(1));
    await replies.take({ ...key, id: 'm10' }, {}, () => Promise.resolve(1));
    replies.forget('m1');
    expect(replies.size).toBe(1);
  });
});

describe('canonicalJson', () => {
  it('is the same for equal values, whatever the order of their keys, and parses back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const reordered = JSON.parse(JSON.stringify(value), (_key, item: unknown) =>
          typeof item === 'object' && item !== null && !Array.isArray(item)
            ? Object.fromEntries(Object.entries(item).reverse())
            : item,
        ) as unknown;
        expect(canonicalJson(reordered)).toBe(canonicalJson(JSON.parse(JSON.stringify(value))));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});
