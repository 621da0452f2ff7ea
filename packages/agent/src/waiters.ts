/** Whoever waits for a state, looked after in one place: each is woken by every change and weighs the state anew. */
export class Waiters {
  readonly #waiting = new Set<() => void>();

  /** The state has changed. */
  wake(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Resolves when `settled` holds, or the signal aborts. */
  async until(settled: () => boolean, signal: AbortSignal): Promise<void> {
    while (!settled() && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#waiting.delete(look);
          signal.removeEventListener('abort', look);
          resolve();
        };
        this.#waiting.add(look);
        signal.addEventListener('abort', look, { once: true });
      });
    }
  }
}
