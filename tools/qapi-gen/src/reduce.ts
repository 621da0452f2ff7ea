import { type Entry, Introspection } from './introspection.js';
import { chosenVariants, commands, events, omitted, typeNames } from './selection.js';
import type { Members, Shape, Subset, TypeRef } from './subset.js';

/** QEMU's whole schema, reduced to what selection.ts names. The same schema gives the same subset. */
export function reduceSchema(entries: readonly Entry[], qemu: string): Subset {
  const introspection = new Introspection(entries);
  const sent = new TypeTable(introspection);
  const received = new TypeTable(introspection);
  const commandRows = commands.map((name) => {
    const command = introspection.get('command', name);
    return [
      name,
      {
        arguments: sent.root(command['arg-type'], `${name}.arguments`, name),
        returns: received.root(command['ret-type'], `${name}.returns`, name),
      },
    ] as const;
  });
  const eventRows = events.map((name) => {
    const event = introspection.get('event', name);
    return [name, received.root(event['arg-type'], `${name}.data`, name)] as const;
  });
  return {
    qemu,
    commands: Object.fromEntries(commandRows),
    events: Object.fromEntries(eventRows),
    sent: sent.shapes(),
    received: received.shapes(),
  };
}

class TypeTable {
  readonly #introspection: Introspection;
  readonly #names = new Map<string, string>();
  readonly #shapes = new Map<string, Shape>();

  constructor(introspection: Introspection) {
    this.#introspection = introspection;
  }

  shapes(): Record<string, Shape> {
    return Object.fromEntries([...this.#shapes].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** The type of arguments, a result or an event's data; null stands for an object without members. */
  root(id: string, path: string, owner: string): TypeRef | null {
    const entry = this.#introspection.type(id);
    if (entry['meta-type'] === 'object' && entry.members.length === 0 && entry.variants === undefined) return null;
    return this.#reference(id, path, owner);
  }

  #reference(id: string, path: string, owner?: string): TypeRef {
    const entry = this.#introspection.type(id);
    if (entry['meta-type'] === 'builtin') return entry.name;
    if (entry['meta-type'] === 'array') {
      const element = this.#reference(entry['element-type'], path, owner);
      if (typeof element !== 'string') throw new Error(`${path} is an array of arrays, which the notation does not have`);
      return [element];
    }
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const name = typeNames[path] ?? pascalCase(path);
    if (this.#shapes.has(name)) throw new Error(`two types would be called ${name}; name the one at ${path} in selection.ts`);
    this.#names.set(id, name);
    // The place is taken before the members are read: they may refer back to it.
    this.#shapes.set(name, { enum: [] });
    this.#shapes.set(name, this.#shape(entry, path, [name, ...(owner === undefined ? [] : [owner])]));
    return name;
  }

  #shape(entry: Entry, path: string, owners: readonly string[]): Shape {
    switch (entry['meta-type']) {
      case 'enum':
        return { enum: entry.values };
      case 'alternate':
        return { alternate: entry.members.map((member, index) => this.#reference(member.type, `${path}.${index}`)) };
      case 'object':
        return { object: { ...this.#members(entry.name, path, owners), ...this.#variantMembers(entry, path, owners) } };
      case 'array':
      case 'builtin':
      case 'command':
      case 'event':
        throw new Error(`${path} is a ${entry['meta-type']}, which has no shape`);
    }
  }

  #members(id: string, path: string, owners: readonly string[]): Members {
    const kept = this.#introspection.get('object', id).members.filter((member) => {
      return !owners.some((owner) => omitted.has(`${owner}.${member.name}`));
    });
    return Object.fromEntries(
      kept.map((member) => [
        Object.hasOwn(member, 'default') ? `*${member.name}` : member.name,
        this.#reference(member.type, `${path}.${member.name}`),
      ]),
    );
  }

  /** What only some variants of a union have may be absent; two variants may not disagree about a member's type. */
  #variantMembers(entry: Extract<Entry, { 'meta-type': 'object' }>, path: string, owners: readonly string[]): Members {
    const merged: Record<string, TypeRef> = {};
    for (const variant of entry.variants ?? []) {
      if (owners.some((owner) => chosenVariants[owner]?.includes(variant.case) === false)) continue;
      for (const [key, type] of Object.entries(this.#members(variant.type, path, owners))) {
        const optional = `*${key.replace(/^\*/, '')}`;
        if (merged[optional] !== undefined && String(merged[optional]) !== String(type)) {
          throw new Error(`the variants of ${path} disagree about "${key}"; omit it in selection.ts`);
        }
        merged[optional] = type;
      }
    }
    return merged;
  }
}

function pascalCase(path: string): string {
  return path
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.slice(0, 1).toUpperCase() + (word === word.toUpperCase() ? word.slice(1).toLowerCase() : word.slice(1)))
    .join('');
}
