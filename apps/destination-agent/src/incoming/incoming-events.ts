import type { EventDomain, LifecycleEvents } from '@vmferry/agent';
import type { LifecycleEvent } from '@vmferry/domain';

/**
 * The lifecycle events of one incoming guest (libvirt-protocol, A9): started, its configuration, then resumed or suspended, or stopped. What
 * follows a decision is done again after a restart of the agent; the log of the events says what was told before, so that each is told once.
 */
export class IncomingEvents {
  readonly #events: Pick<LifecycleEvents, 'emit' | 'lifeOf'>;
  readonly #domain: EventDomain;
  readonly #since: string | undefined;

  /** `since` is when an offline migration was prepared: it starts nothing that its events could be counted from. */
  constructor(events: Pick<LifecycleEvents, 'emit' | 'lifeOf'>, domain: EventDomain, since?: string) {
    this.#events = events;
    this.#domain = domain;
    this.#since = since;
  }

  started(): void {
    this.#emit({ event: 'started', detail: 'migrated' });
  }

  defined(detail: 'added' | 'updated'): void {
    if (!this.#configTold) this.#emit({ event: 'defined', detail });
  }

  /** A configuration that was told of as kept is as it was before. */
  putBack(before: string | null): void {
    if (!this.#configTold) return;
    this.#emit(before === null ? { event: 'undefined', detail: 'removed' } : { event: 'defined', detail: 'updated' });
  }

  committed(mode: 'run' | 'paused'): void {
    if (!this.#waits) return;
    this.#emit(mode === 'run' ? { event: 'resumed', detail: 'migrated' } : { event: 'suspended', detail: 'paused' });
  }

  ended(detail: 'failed' | 'destroyed'): void {
    if (this.#waits) this.#emit({ event: 'stopped', detail });
  }

  /** It was told as started, and nothing since of what became of it. */
  get #waits(): boolean {
    const life = this.#life;
    return life[0]?.event === 'started' && life.every(({ event }) => event === 'started' || event === 'defined');
  }

  get #configTold(): boolean {
    return this.#life.some(({ event }) => event === 'defined');
  }

  get #life(): ReturnType<LifecycleEvents['lifeOf']> {
    return this.#events.lifeOf(this.#domain.uuid, this.#since);
  }

  #emit(event: LifecycleEvent): void {
    this.#events.emit(this.#domain, event);
  }
}
