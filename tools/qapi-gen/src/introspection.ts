interface Member {
  readonly name: string;
  readonly type: string;
  /** Present, even as null, when the member is optional. */
  readonly default?: unknown;
}

/** An entry of `query-qmp-schema`, as far as the generator reads it. Its names of types are numbers. */
export type Entry =
  | { readonly 'meta-type': 'command'; readonly name: string; readonly 'arg-type': string; readonly 'ret-type': string }
  | { readonly 'meta-type': 'event'; readonly name: string; readonly 'arg-type': string }
  | {
      readonly 'meta-type': 'object';
      readonly name: string;
      readonly members: readonly Member[];
      readonly variants?: readonly { readonly case: string; readonly type: string }[];
    }
  | { readonly 'meta-type': 'enum'; readonly name: string; readonly values: readonly string[] }
  | { readonly 'meta-type': 'array'; readonly name: string; readonly 'element-type': string }
  | { readonly 'meta-type': 'builtin'; readonly name: string }
  | { readonly 'meta-type': 'alternate'; readonly name: string; readonly members: readonly { readonly type: string }[] };

/** The entries of one introspection by kind and name; commands, events and types have separate name spaces in practice. */
export class Introspection {
  readonly #entries: ReadonlyMap<string, Entry>;

  constructor(entries: readonly Entry[]) {
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  get<K extends Entry['meta-type']>(kind: K, name: string): Extract<Entry, { 'meta-type': K }> {
    const entry = this.type(name);
    if (entry['meta-type'] !== kind) throw new Error(`"${name}" is a ${entry['meta-type']} in this schema, not a ${kind}`);
    // The tag was compared just above, which TypeScript does not follow through a type parameter.
    return entry as Extract<Entry, { 'meta-type': K }>;
  }

  type(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new Error(`this QEMU's schema has no "${name}"`);
    return entry;
  }
}
