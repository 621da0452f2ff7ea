import { VmferryError } from '@vmferry/errors';
import { type Clock, sleep } from '@vmferry/seams';

const triesMax = 20;
const pauseMs = 500;

/**
 * Asks an agent again that does not answer, for 10 s: one that was killed is back by then. Only for what may be asked twice. The
 * signal's reason is thrown when that is aborted.
 */
export async function patiently<T>(clock: Clock, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (thrown) {
      if (!VmferryError.is(thrown, 'peer-unreachable') || tries === triesMax) throw thrown;
      await sleep(clock, pauseMs, signal);
    }
  }
}
