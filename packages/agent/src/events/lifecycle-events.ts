import { type LifecycleEventDocument, lifecycleEvent } from '@vmferry/api';
import { eventDetailNumber, eventNumber, type LifecycleEvent } from '@vmferry/domain';
import type { Clock } from '@vmferry/seams';
import type { Log, Publication, Subscribable } from '@vmferry/service';
import type { EventLog } from './event-log.js';

/** Whom an event is about. */
export interface EventDomain {
  readonly uuid: string;
  readonly name: string;
}

type Told = Publication<LifecycleEventDocument>;

export interface LifecycleEventsOptions {
  readonly kept: EventLog;
  readonly clock: Clock;
  readonly hostName: string;
  readonly log: Log;
}

/**
 * The lifecycle events that this agent tells: written first, then told to whoever listens. An id is one more than the last and never behind the
 * wall clock in milliseconds, so that ids also grow when the last events were lost with the machine.
 */
export class LifecycleEvents implements Subscribable<LifecycleEventDocument> {
  readonly ended = false;
  readonly #options: LifecycleEventsOptions;
  readonly #listeners = new Set<(told: Told) => void>();

  constructor(options: LifecycleEventsOptions) {
    this.#options = options;
  }

  get generation(): number {
    return this.#options.kept.kept.at(-1)?.id ?? 0;
  }

  /** Tells an event, once what it tells of is durable. Never throws (S14): one that cannot be made or kept is logged, and told to nobody. */
  emit(domain: EventDomain, event: LifecycleEvent): void {
    const { kept, clock, hostName, log } = this.#options;
    try {
      const at = clock.wall();
      const document = lifecycleEvent.parse({
        id: Math.max(this.generation + 1, at.getTime()),
        at: at.toISOString(),
        hostName,
        domain: { uuid: domain.uuid, name: domain.name },
        event: event.event,
        detail: event.detail,
        libvirt: { event: eventNumber(event), detail: eventDetailNumber(event) },
      });
      kept.append(document);
      for (const listener of [...this.#listeners]) listener(told(document));
    } catch (error) {
      log.error('a lifecycle event was lost', { domain: domain.name, ...event, error });
    }
  }

  /** The events of a domain since it was last started here, that event first, none when it never was; or since a time that is given. */
  lifeOf(uuid: string, since?: string): readonly LifecycleEventDocument[] {
    const all = this.#options.kept.kept.filter(({ domain }) => domain.uuid === uuid);
    if (since !== undefined) return all.filter(({ at }) => at >= since);
    const start = all.findLastIndex(({ event }) => event === 'started');
    return start === -1 ? [] : all.slice(start);
  }

  subscribe(listener: (told: Told) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What is still kept of what came behind `id`; without one nothing, because the past has no present state. */
  opening(id: number | undefined): readonly Told[] {
    if (id === undefined) return [];
    return this.#options.kept.kept.filter((event) => event.id > id).map(told);
  }

  /** The same of one domain, by name or uuid. */
  of(domain: string): Subscribable<LifecycleEventDocument> {
    return new EventsOfDomain(this, domain);
  }
}

class EventsOfDomain implements Subscribable<LifecycleEventDocument> {
  readonly ended = false;
  readonly #all: LifecycleEvents;
  readonly #domain: string;

  constructor(all: LifecycleEvents, domain: string) {
    this.#all = all;
    this.#domain = domain;
  }

  get generation(): number {
    return this.#all.generation;
  }

  subscribe(listener: (told: Told) => void): () => void {
    return this.#all.subscribe((event) => {
      if (this.#isIts(event)) listener(event);
    });
  }

  opening(id: number | undefined): readonly Told[] {
    return this.#all.opening(id).filter((event) => this.#isIts(event));
  }

  #isIts({ value: { domain } }: Told): boolean {
    return domain.name === this.#domain || domain.uuid === this.#domain.toLowerCase();
  }
}

const told = (value: LifecycleEventDocument): Told => ({ event: 'lifecycle', value, generation: value.id });
