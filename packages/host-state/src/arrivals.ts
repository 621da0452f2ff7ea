import { DocumentStore, type DocumentStoreOptions } from './document-store.js';

/** The key of a migration, as its record is named by it. */
export interface Arrival {
  readonly id: string;
  readonly nonce: string;
}

/**
 * By which migration a guest is coming in, `run/UUID/incoming.json`: how the source-agent finds the record without reading all of them. The
 * destination-agent writes it before the record, and removes it once that is decided; the record alone says whether it still counts.
 */
export type Arrivals = DocumentStore<Arrival>;

export function arrivalsIn(dir: string, o: Pick<DocumentStoreOptions<Arrival>, 'report' | 'faults'>): Arrivals {
  return new DocumentStore({ ...o, dir, suffix: '/incoming.json', parse: parseArrival, version: 1 });
}

/**
 * By which offline migration a definition is leaving, `run/UUID/outgoing.json`: what the status document says of a guest. The source-agent writes it
 * before the migration is known to anybody, and removes it at the end; meanwhile the destination-agent takes in nothing of the same uuid.
 */
export function leavingIn(dir: string, o: Pick<DocumentStoreOptions<Arrival>, 'report' | 'faults'>): Arrivals {
  return new DocumentStore({ ...o, dir, suffix: '/outgoing.json', parse: parseArrival, version: 1 });
}

function parseArrival(value: unknown): Arrival {
  if (typeof value !== 'object' || value === null || !('id' in value) || !('nonce' in value))
    throw new Error('id or nonce is missing');
  const { id, nonce } = value;
  if (typeof id !== 'string' || typeof nonce !== 'string') throw new Error('id or nonce is no text');
  return { id, nonce };
}
