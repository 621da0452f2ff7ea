import { VmferryError } from '@vmferry/errors';
import { type Documents, noLabels } from './index.js';
import type { LabelledDomain, SecurityDriver } from './security-driver.js';

/** Documents in memory, as text between a write and a read. A double for the durable ones of host-state, which this package cannot import. */
export class SpecDocuments<T> implements Documents<T> {
  readonly texts = new Map<string, string>();
  readonly #parse: (value: unknown) => T;
  /** Refuses every change, like a disk that is full. */
  isFull = false;

  constructor(parse: (value: unknown) => T) {
    this.#parse = parse;
  }

  async read(name: string): Promise<T | null> {
    const text = this.texts.get(name);
    return text === undefined ? null : this.#parse(JSON.parse(text));
  }

  async write(name: string, value: T): Promise<void> {
    this.#admit();
    this.texts.set(name, JSON.stringify(value));
  }

  async create(name: string, value: T): Promise<T> {
    this.#admit();
    if (!this.texts.has(name)) this.texts.set(name, JSON.stringify(value));
    return (await this.read(name)) ?? value;
  }

  async remove(name: string): Promise<void> {
    this.#admit();
    this.texts.delete(name);
  }

  async list(): Promise<{ name: string; value: T }[]> {
    return [...this.texts].map(([name, text]) => ({ name, value: this.#parse(JSON.parse(text)) }));
  }

  #admit(): void {
    if (this.isFull) throw new VmferryError('state-unwritable', 'full');
  }
}

export function guest(uuid: string, paths: Partial<LabelledDomain> = {}): LabelledDomain {
  return {
    uuid,
    name: `guest-${uuid}`,
    emulated: false,
    secLabels: [],
    writable: [],
    shared: [],
    readable: [],
    created: [],
    connected: [],
    ...paths,
  };
}

/** Tells what is asked of it, and fails at the parts that are named. */
export function recordingDriver(
  name: string,
  calls: string[],
  o: Partial<SecurityDriver> & { failing?: readonly string[] } = {},
) {
  const { failing = [], ...over } = o;
  const call = (what: string) => {
    calls.push(`${name} ${what}`);
    return failing.includes(what) ? Promise.reject(new Error(`${name} ${what}`)) : Promise.resolve();
  };
  const driver: SecurityDriver = {
    ...noLabels,
    name,
    models: [{ model: name, doi: '0' }],
    labelAll: () => call('labelAll').then(() => [`/of-${name}`]),
    labelOwn: () => call('labelOwn'),
    restoreAll: (_, { migrated }) => call(migrated ? 'restoreAll migrated' : 'restoreAll'),
    labelPath: (_, path) => call(`labelPath ${path}`),
    restorePath: (_, path) => call(`restorePath ${path}`),
    release: () => call('release'),
    reserve: (_, pid) => call(`reserve ${pid}`),
    execLabels: async () => [{ attribute: '/a', text: name }],
    labelsOf: async () => [{ model: name, doi: '0', label: name }],
    labelImageFd: (_, fd) => call(`labelImageFd ${fd}`),
    labelStreamFd: (_, fd) => call(`labelStreamFd ${fd}`),
    socketMaker: async (_, whose) => (make) => {
      calls.push(`${name} socket of ${whose}`);
      const made = make();
      calls.push(`${name} no socket`);
      return made;
    },
    ...over,
  };
  return driver;
}
