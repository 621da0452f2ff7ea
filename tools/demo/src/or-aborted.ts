/** Waits for the promise, but no longer than until the signal is aborted; then its reason is thrown. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const give = () => reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    signal.addEventListener('abort', give, { once: true });
    if (signal.aborted) give();
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', give));
  });
}
