import type { MigrationKey } from '@vmferry/migration';
import type { Timer } from '@vmferry/seams';
import type { Log } from '@vmferry/service';
import type { DestinationContext } from '../context.js';

/**
 * The handing over of a committed domain to the host's source-agent, which pulls it. The notice is only a hint; it is repeated until
 * the source-agent says that it has the domain, so that this agent's monitor stays until then.
 */
export class Handover {
  readonly #context: DestinationContext;
  readonly #key: MigrationKey;
  readonly #log: Log;
  readonly #done: Promise<void>;
  #finish: () => void = () => undefined;
  #begun = false;

  constructor(context: DestinationContext, key: MigrationKey, log: Log) {
    this.#context = context;
    this.#key = key;
    this.#log = log;
    this.#done = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** Whether it was begun in this life of the agent. */
  get begun(): boolean {
    return this.#begun;
  }

  begin(uuid: string, release: () => void | Promise<void>): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#notify(uuid, release);
  }

  /** True when the domain was handed over within `ms`. */
  within(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer: Timer = this.#context.clock.after(ms, () => resolve(false));
      void this.#done.then(() => {
        timer.cancel();
        resolve(true);
      });
    });
  }

  #notify(uuid: string, release: () => void | Promise<void>): void {
    const notify = async () => {
      if (!(await this.#tell(uuid))) return this.#again(uuid, release);
      await release();
      this.#finish();
    };
    notify().catch((error: unknown) => {
      this.#log.warn('the domain waits for the source-agent of this host to take it over', { uuid, error });
      this.#again(uuid, release);
    });
  }

  #again(uuid: string, release: () => void | Promise<void>): void {
    this.#context.clock.after(this.#context.timers.retryMs, () => this.#notify(uuid, release));
  }

  async #tell(uuid: string): Promise<boolean> {
    if (this.#context.neighbour === null) return false;
    const { adopted } = await this.#context.neighbour.adopt({ uuid, migration: { id: this.#key.id, nonce: this.#key.nonce } });
    if (adopted) await this.#context.faults('D19');
    return adopted;
  }
}
