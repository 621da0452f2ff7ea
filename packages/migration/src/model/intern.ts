/*
 * One object per value, so that states compare by identity and the real step functions run once per pair of state and event.
 */

const canonical = new Map<string, object>();
const ids = new Map<object, number>();

export function intern<T extends object>(value: T): T {
  if (ids.has(value)) return value;
  const text = JSON.stringify(value);
  const known = canonical.get(text);
  if (known !== undefined) return known as T; // The text was made from a value of this very shape.
  canonical.set(text, value);
  ids.set(value, ids.size + 1);
  return value;
}

const lists = new Map<string, readonly object[]>();

/** The one list of these effects; the model has only one kind of each. */
export function listOf<T extends { readonly t: string }>(effects: readonly T[]): readonly T[] {
  const text = effects.map((effect) => effect.t).join();
  const known = lists.get(text);
  if (known !== undefined) return known as readonly T[]; // The text names effects of this very shape.
  const list = effects.map((effect) => intern(effect));
  lists.set(text, list);
  ids.set(list, ids.size + 1);
  return list;
}

/** The number of an interned object; 0 for null. */
export function idOf(value: object | null): number {
  if (value === null) return 0;
  const id = ids.get(value);
  if (id === undefined) throw new Error('Only interned objects belong in a state.');
  return id;
}

/** `step` with its results remembered by the identity of its interned arguments. */
export function remembered<S extends object, E extends object, R>(step: (state: S, event: E) => R): (state: S, event: E) => R {
  const results = new Map<S, Map<E, R>>();
  return (state, event) => {
    const ofState = results.get(state) ?? new Map<E, R>();
    results.set(state, ofState);
    const known = ofState.get(event);
    if (known !== undefined) return known;
    const result = step(state, event);
    ofState.set(event, result);
    return result;
  };
}
