import type { EventName } from './generated/events.js';
import type { QmpEvent } from './message.js';

export type EventListener<N extends EventName = EventName> = (event: QmpEvent<N>) => void;

/** Who listens to which event. Delivery is synchronous and in order of arrival. */
export class EventListeners {
  readonly #byName = new Map<EventName, Set<EventListener>>();
  readonly #any = new Set<EventListener>();

  add<N extends EventName>(name: N, listener: EventListener<N>): void {
    const listeners = this.#byName.get(name) ?? new Set();
    // A listener of this set is called with events of its name only, see `deliver`.
    listeners.add(listener as unknown as EventListener);
    this.#byName.set(name, listeners);
  }

  remove<N extends EventName>(name: N, listener: EventListener<N>): void {
    this.#byName.get(name)?.delete(listener as unknown as EventListener);
  }

  addAny(listener: EventListener): void {
    this.#any.add(listener);
  }

  removeAny(listener: EventListener): void {
    this.#any.delete(listener);
  }

  /** A listener that throws is a defect: it surfaces as an uncaught exception, after the others were told. */
  deliver(event: QmpEvent): void {
    for (const listener of [...(this.#byName.get(event.name) ?? []), ...this.#any]) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
