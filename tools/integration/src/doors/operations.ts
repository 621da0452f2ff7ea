import { ask } from '../steps/ask.js';

/** Of a JSON schema, what the openapi.json of an app holds. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
}

interface Document {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly requestBody?: { readonly content: Readonly<Record<string, { schema: Schema }>> } }>>
    >
  >;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** One operation of an app that is no GET, as its openapi.json tells of it. */
export interface Operation {
  readonly app: string;
  readonly method: 'POST' | 'PATCH' | 'DELETE';
  /** With its parameters filled in: things that are not there. */
  readonly path: string;
  /** As in the document, with the method. */
  readonly name: string;
  /** Each in order: with all that is required, or with all there is. None for an operation without a body. */
  readonly bodies: { readonly least: unknown; readonly most: unknown } | null;
}

export const nobody = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';

/** Words that their fields take and whose checks no schema tells. The XML is of no domain, so that nothing is started by it. */
const words: Readonly<Record<string, string>> = {
  id: 'm1',
  uuid: nobody,
  session: nobody,
  autodestroy: nobody,
  migrationId: 'm1',
  nonce: '0'.repeat(32),
  storeId: '0'.repeat(32),
  cookie: '',
  domain: 'nobody',
  xml: '<network/>',
  destination: 'http://127.0.0.1:1',
  url: `http://127.0.0.1:1/v1/streams/${nobody}/attach`,
  ticket: '0'.repeat(64),
  uri: 'http://127.0.0.1:1',
  listenAddress: '127.0.0.1',
  destinationName: 'nobody',
  execute: 'query-status',
  monitor: '/nowhere',
  proof: 'fenced by hand',
  epoch: '1',
  path: '/nowhere/image',
  by: 'its power switch says off',
  statement: 'somebody has looked at it',
  flags: 'LIVE',
};

/** Every operation of an app that is no GET. */
export async function operationsOf(app: string, url: string): Promise<readonly Operation[]> {
  const answer = await ask(url, '/openapi.json', { method: 'GET' });
  // It is the document that the app's own spec holds against the one that is checked in.
  const { paths, components } = answer.body as unknown as Document;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { requestBody }]) => {
      if (method === 'get') return [];
      const schema = requestBody?.content['application/json']?.schema;
      const sample = (all: boolean) => (schema === undefined ? null : sampleOf(schema, '', components.schemas, all));
      return {
        app,
        method: method.toUpperCase() as Operation['method'],
        path: path.replaceAll(/\{\w+\}/g, nobody),
        name: `${method.toUpperCase()} ${path}`,
        bodies: schema === undefined ? null : { least: sample(false), most: sample(true) },
      };
    }),
  );
}

function sampleOf(schema: Schema, name: string, named: Document['components']['schemas'], all: boolean): unknown {
  const { $ref, allOf, anyOf, oneOf, properties = {}, required = [], items } = schema;
  if ($ref !== undefined) return sampleOf(named[$ref.split('/').at(-1) ?? ''] ?? {}, name, named, all);
  if (allOf !== undefined) return Object.assign({}, ...allOf.map((part) => sampleOf(part, name, named, all))) as unknown;
  const [either] = anyOf ?? oneOf ?? [];
  if (either !== undefined) return sampleOf(either, name, named, all);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const type = (typeof schema.type === 'string' ? schema.type : schema.type?.[0]) ?? 'string';
  switch (type) {
    case 'object': {
      const entries = Object.entries(properties);
      // Where nothing is required, one of them often is.
      const least = required.length > 0 ? entries.filter(([key]) => required.includes(key)) : entries.slice(0, 1);
      const wanted = all ? entries : least;
      return Object.fromEntries(wanted.map(([key, of]) => [key, sampleOf(of, key, named, all)]));
    }
    case 'array':
      return items === undefined ? [] : [sampleOf(items, name, named, all)];
    case 'integer':
    case 'number':
      return Math.max(schema.minimum ?? 1, 1);
    case 'boolean':
      return false;
    case 'null':
      return null;
    default:
      return words[name] ?? 'word';
  }
}

/** The value with one thing in it changed, once for each place where `change` has something to change. */
export function* eachChange(value: unknown, change: (at: unknown) => unknown): Generator<unknown> {
  const changed = change(value);
  if (changed !== undefined) yield changed;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      for (const other of eachChange(item, change)) yield value.map((kept: unknown, at) => (at === index ? other : kept));
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      for (const other of eachChange(item, change)) yield { ...value, [key]: other };
    }
  }
}
