import type { SecurityDriver } from './security-driver.js';

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
  /** One of the files alone, as for a start that failed: `release` follows when no file is left. */
  const undoLabelled = async (domain: Parameters<SecurityDriver['labelAll']>[0], labelled: readonly string[]) => {
    for (const path of labelled) await first.restorePath(domain, path);
    await first.release(domain);
  };
  const inOrder = async (act: (driver: SecurityDriver) => Promise<void>) => {
    await act(first);
    await act(second);
  };
  const reversed = (act: (driver: SecurityDriver) => Promise<void>) => both(act(second), () => act(first));
  return {
    name: `${first.name},${second.name}`,
    models: [...first.models, ...second.models],
    user: first.user ?? second.user,
    faults: async (domain) => [...(await first.faults(domain)), ...(await second.faults(domain))],
    async labelAll(domain) {
      const labelled = await first.labelAll(domain);
      const undo = () => undoLabelled(domain, labelled);
      return [...new Set([...labelled, ...(await undoFirst(second.labelAll(domain), undo))])];
    },
    labelOwn: (domain, own) => inOrder((driver) => driver.labelOwn(domain, own)),
    restoreAll: (domain, how) => reversed((driver) => driver.restoreAll(domain, how)),
    async labelPath(domain, path) {
      await first.labelPath(domain, path);
      await undoFirst(second.labelPath(domain, path), () => first.restorePath(domain, path));
    },
    restorePath: (domain, path) => reversed((driver) => driver.restorePath(domain, path)),
    release: (domain) => reversed((driver) => driver.release(domain)),
    reserve: (domain, pid) => inOrder((driver) => driver.reserve(domain, pid)),
    execLabels: async (domain) => [...(await first.execLabels(domain)), ...(await second.execLabels(domain))],
    labelsOf: async (domain) => [...(await first.labelsOf(domain)), ...(await second.labelsOf(domain))],
    labelImageFd: (domain, fd) => inOrder((driver) => driver.labelImageFd(domain, fd)),
    labelStreamFd: (domain, fd) => inOrder((driver) => driver.labelStreamFd(domain, fd)),
    async socketMaker(domain, whose) {
      const outer = await first.socketMaker(domain, whose);
      const inner = await second.socketMaker(domain, whose);
      return (make) => outer(() => inner(make));
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
