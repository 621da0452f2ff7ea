/** A timer that is running; cancelling it twice is no error. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as a parameter, so that the same code runs under a seeded simulation. Durations are measured on `monotonicMs` only;
 * `wall` is for what people read.
 */
export interface Clock {
  monotonicMs(): number;
  wall(): Date;
  /** Calls `act` once, `delayMs` from now. */
  after(delayMs: number, act: () => void): Timer;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wall: () => new Date(),
  after(delayMs, act) {
    const timer = setTimeout(act, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Resolves `delayMs` from now, or rejects with the signal's reason as soon as it is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', stop);
      resolve();
    });
    signal?.addEventListener('abort', stop, { once: true });
  });
}
