import { type Clock, systemClock } from '@vmferry/seams';

/** A promise that a spec resolves itself, for `this has happened`. */
export function happening<T = void>(): { readonly promise: Promise<T>; readonly happened: (value: T) => void } {
  let happened: (value: T) => void = () => undefined;
  const promise = new Promise<T>((resolve) => {
    happened = resolve;
  });
  return { promise, happened };
}

/** The system's clock, and a way to make time pass at once for those who measure it. */
export function skippingClock(): { readonly clock: Clock; readonly skip: (ms: number) => void } {
  let skippedMs = 0;
  const clock: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + skippedMs };
  return {
    clock,
    skip: (ms) => {
      skippedMs += ms;
    },
  };
}
