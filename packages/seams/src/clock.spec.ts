import { describe, expect, it } from 'vitest';
import { type Clock, sleep, systemClock } from './clock.js';
import { systemRandom } from './random.js';

/** A clock whose timers fire when the test says so. */
function heldClock() {
  const timers = new Map<number, () => void>();
  let next = 0;
  const clock: Clock = {
    monotonicMs: () => 0,
    wall: () => new Date(0),
    after(_delayMs, act) {
      const id = next++;
      timers.set(id, act);
      return { cancel: () => timers.delete(id) };
    },
  };
  return { clock, timers };
}

describe('sleep', () => {
  it('ends when its time has come', async () => {
    const { clock, timers } = heldClock();
    const slept = sleep(clock, 10, new AbortController().signal);
    for (const act of timers.values()) act();
    await slept;
  });

  it('ends with the reason of an abort and leaves no timer', async () => {
    const { clock, timers } = heldClock();
    const stop = new AbortController();
    const slept = sleep(clock, 10, stop.signal);
    stop.abort(new Error('enough'));
    await expect(slept).rejects.toThrow('enough');
    expect(timers.size).toBe(0);
  });

  it('does not begin after an abort', async () => {
    const { clock, timers } = heldClock();
    await expect(sleep(clock, 10, AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
    expect(timers.size).toBe(0);
  });
});

describe('the system', () => {
  it('has a clock whose timer fires, and not once it was cancelled', async () => {
    const before = systemClock.monotonicMs();
    let cancelled = true;
    const timer = systemClock.after(1, () => {
      cancelled = false;
    });
    timer.cancel();
    timer.cancel();
    await sleep(systemClock, 20);
    expect(systemClock.monotonicMs() - before).toBeGreaterThanOrEqual(19);
    expect(cancelled).toBe(true);
  });

  it('has randomness of the length asked for', () => {
    expect(systemRandom.hex(16)).toMatch(/^[0-9a-f]{32}$/);
    expect(systemRandom.hex(16)).not.toBe(systemRandom.hex(16));
    expect(systemRandom.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
  });
});
