/** A type in QAPI's own notation: its name, or `[name]` for an array of it. */
export type TypeRef = string | readonly [string];

/** The members of an object; a leading `*` marks one that may be absent, as in QAPI schema files. */
export type Members = Readonly<Record<string, TypeRef>>;

export type Shape =
  | { readonly object: Members }
  | { readonly enum: readonly string[] }
  | { readonly alternate: readonly TypeRef[] };

export interface Subset {
  readonly qemu: string;
  readonly commands: Readonly<Record<string, { readonly arguments: TypeRef | null; readonly returns: TypeRef | null }>>;
  readonly events: Readonly<Record<string, TypeRef | null>>;
  /** What goes to QEMU and what comes from it are kept apart: an enum is closed in one direction and open in the other. */
  readonly sent: Readonly<Record<string, Shape>>;
  readonly received: Readonly<Record<string, Shape>>;
}

export const builtinTypes: Readonly<Record<string, string>> = {
  str: 'string',
  int: 'number',
  number: 'number',
  bool: 'boolean',
  null: 'null',
};
