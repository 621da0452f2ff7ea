import { sleep, systemClock } from '@vmferry/seams';

/** I11: once faults stop, everything is settled within this time. */
export const settleMs = 60_000;

/**
 * Repeats `look` until it does not throw. For what no event tells of: processes, files, descriptors, and what an agent does after its resource
 * says that it is done. Throws what `look` threw last.
 */
export async function eventually<T>(look: () => T | Promise<T>, deadlineMs = settleMs): Promise<T> {
  const endMs = systemClock.monotonicMs() + deadlineMs;
  for (;;) {
    try {
      return await look();
    } catch (thrown) {
      if (systemClock.monotonicMs() > endMs) throw thrown;
    }
    await sleep(systemClock, 20);
  }
}
