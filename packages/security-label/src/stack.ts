import type { LabelledDomain, SecurityDriver } from './security-driver.js';

/** Two drivers as one: the second after the first, and undone in the other order. */
export function stackLabels(first: SecurityDriver, second: SecurityDriver): SecurityDriver {
  const undoFirst = async <T>(act: Promise<T>, undo: () => Promise<unknown>): Promise<T> => {
    try {
      return await act;
    } catch (error) {
      // The first error is the one to tell; a clean-up that fails too is in the memory of its driver.
      await undo().catch(() => undefined);
      throw error;
    }
  };
  return {
    name: `${first.name}+${second.name}`,
    user: first.user ?? second.user,
    faults: async (domain) => [...(await first.faults(domain)), ...(await second.faults(domain))],
    async labelAll(domain) {
      const labelled = await first.labelAll(domain);
      const undo = () => Promise.all(labelled.map((path) => first.restorePath(domain, path)));
      return [...new Set([...labelled, ...(await undoFirst(second.labelAll(domain), undo))])];
    },
    restoreAll: (domain, how) => both(second.restoreAll(domain, how), () => first.restoreAll(domain, how)),
    async labelPath(domain, path) {
      await first.labelPath(domain, path);
      await undoFirst(second.labelPath(domain, path), () => first.restorePath(domain, path));
    },
    restorePath: (domain, path) => both(second.restorePath(domain, path), () => first.restorePath(domain, path)),
    async labelImageFd(domain: LabelledDomain, fd: number) {
      await first.labelImageFd(domain, fd);
      await second.labelImageFd(domain, fd);
    },
  };
}

/** Does the other also when the one fails; the first error is the error. */
async function both(one: Promise<void>, other: () => Promise<void>): Promise<void> {
  const failed = await one.then(
    () => null,
    (error: unknown) => ({ error }),
  );
  await other();
  if (failed !== null) throw failed.error;
}
