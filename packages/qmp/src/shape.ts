/** A type in QAPI's notation: a built-in type, a name of the table, or `[name]` for an array of it. */
export type TypeRef = string | readonly [string];

export type Shape =
  | { readonly t: 'object'; readonly members: Readonly<Record<string, TypeRef>> }
  | { readonly t: 'enum' }
  | { readonly t: 'alternate'; readonly of: readonly TypeRef[] };

/** Deeper than any reply of QEMU; a chain of backing files is the deepest, one level a file. */
const depthMax = 100;

/**
 * Copies out of `value` what its type names, and nothing else: QEMU may be under the control of an escaped guest (threats, rows
 * 15 and 16), so a member that is not in the schema (a newer QEMU's, or `__proto__`) never gets past this function. Throws a
 * ShapeError when a promised member is absent or of another type.
 */
export function copyByShape(
  type: TypeRef,
  value: unknown,
  shapes: Readonly<Record<string, Shape>>,
  path = '',
  depth = 0,
): unknown {
  if (depth > depthMax) throw new ShapeError(path, `at most ${depthMax} levels`);
  if (typeof type !== 'string') {
    if (!Array.isArray(value)) throw new ShapeError(path, 'an array');
    return value.map((item, index) => copyByShape(type[0], item, shapes, `${path}/${index}`, depth + 1));
  }
  const shape = Object.hasOwn(shapes, type) ? shapes[type] : undefined;
  if (shape === undefined) return builtin(type, value, path);
  switch (shape.t) {
    case 'enum':
      return builtin('str', value, path);
    case 'alternate':
      return copyAlternate(shape.of, value, shapes, path, depth);
    case 'object':
      return copyObject(shape.members, value, shapes, path, depth);
  }
}

class ShapeError extends Error {
  constructor(path: string, expected: string) {
    super(`${path === '' ? 'the whole value' : path} is not ${expected}`);
  }
}

function copyObject(
  members: Readonly<Record<string, TypeRef>>,
  value: unknown,
  shapes: Readonly<Record<string, Shape>>,
  path: string,
  depth: number,
): Record<string, unknown> {
  if (!isObject(value)) throw new ShapeError(path, 'an object');
  const copy: Record<string, unknown> = {};
  for (const [key, type] of Object.entries(members)) {
    const optional = key.startsWith('*');
    const name = optional ? key.slice(1) : key;
    if (optional && !Object.hasOwn(value, name)) continue;
    copy[name] = copyByShape(type, value[name], shapes, `${path}/${name}`, depth + 1);
  }
  return copy;
}

function copyAlternate(
  types: readonly TypeRef[],
  value: unknown,
  shapes: Readonly<Record<string, Shape>>,
  path: string,
  depth: number,
): unknown {
  for (const type of types) {
    try {
      return copyByShape(type, value, shapes, path, depth + 1);
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
    }
  }
  throw new ShapeError(path, `any of ${types.join(', ')}`);
}

function builtin(type: string, value: unknown, path: string): unknown {
  switch (type) {
    case 'str':
      if (typeof value === 'string') return value;
      throw new ShapeError(path, 'a string');
    case 'bool':
      if (typeof value === 'boolean') return value;
      throw new ShapeError(path, 'true or false');
    case 'int':
      if (Number.isInteger(value)) return value;
      throw new ShapeError(path, 'an integer');
    case 'number':
      if (typeof value === 'number') return value;
      throw new ShapeError(path, 'a number');
    case 'null':
      if (value === null) return value;
      throw new ShapeError(path, 'null');
    default:
      throw new Error(`the generated tables name the type "${type}", which they do not hold`);
  }
}

/** An object of JSON, not an array and not null. Its members are read with `Object.hasOwn` first, or by a fixed name. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
