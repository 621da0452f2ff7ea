import type { Clock } from '@vmferry/seams';

/** npx, `timeout` and some shells pass one signal on twice, at once; a person who presses Ctrl-C again takes longer. */
const oneActMs = 500;

export type OnSignal = (listener: (signal: string) => void) => () => void;

/** Calls `first` at the first signal and `again` at one that comes half a second later or more, until the returned function is called. */
export function onSignals(
  onSignal: OnSignal,
  clock: Clock,
  acts: { readonly first: (signal: string) => void; readonly again: () => void },
): () => void {
  let firstAtMs: number | null = null;
  return onSignal((signal) => {
    if (firstAtMs === null) {
      firstAtMs = clock.monotonicMs();
      acts.first(signal);
    } else if (clock.monotonicMs() - firstAtMs >= oneActMs) {
      acts.again();
    }
  });
}
