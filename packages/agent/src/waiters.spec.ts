import { expect, it } from 'vitest';
import { Waiters } from './waiters.js';

it('wakes whoever waits when its state is there, and not before', async () => {
  const waiters = new Waiters();
  let state = 0;
  const heard: number[] = [];
  const waits = waiters.until(() => state === 2, new AbortController().signal).then(() => heard.push(state));
  state = 1;
  waiters.wake();
  await Promise.resolve();
  expect(heard).toEqual([]);
  state = 2;
  waiters.wake();
  await waits;
  expect(heard).toEqual([2]);
});

it('waits no longer than its signal, and not at all for what is there', async () => {
  const waiters = new Waiters();
  const giveUp = new AbortController();
  const waits = waiters.until(() => false, giveUp.signal);
  giveUp.abort();
  await waits;
  await waiters.until(() => false, giveUp.signal);
  await waiters.until(() => true, new AbortController().signal);
});
