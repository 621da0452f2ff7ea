import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

interface Waiter<Answer> {
  readonly kind: string;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** A process of the bench's own that takes orders and answers them. */
export class Helper<Order extends object, Answer extends { readonly t: string }> {
  readonly #child: ChildProcess;
  #waiters: Waiter<Answer>[] = [];

  /** `program` is a file of this package. */
  constructor(program: URL) {
    // JSON would make an object of numbers of a certificate's bytes.
    this.#child = fork(program, { stdio: 'inherit', serialization: 'advanced' });
    this.#child.on('message', (answer: Answer) => {
      const waiting = this.#waiters.filter(({ kind }) => kind === answer.t);
      this.#waiters = this.#waiters.filter(({ kind }) => kind !== answer.t);
      for (const { resolve } of waiting) resolve(answer);
    });
    this.#child.on('exit', () => {
      for (const { reject } of this.#waiters) reject(new Error('A process of the bench has ended by itself; it says why above.'));
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('A process of the bench did not start.');
    return pid;
  }

  /** What answers an order is awaited before the order is given, so that nothing is missed. */
  order(order: Order): void {
    this.#child.send(order);
  }

  /** The next answer of a kind. Throws when the process ends before. */
  answer<T extends Answer['t']>(kind: T): Promise<Extract<Answer, { t: T }>> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ kind, resolve: (answer) => resolve(answer as Extract<Answer, { t: T }>), reject });
    });
  }

  async end(): Promise<void> {
    this.#waiters = [];
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
