import { readFile } from 'node:fs/promises';
import { VmferryError } from '@vmferry/errors';
import type { ResourceId } from './lock-driver.js';
import { isEpoch, resourceKey } from './lock-state.js';

/** Who owns a resource. `migrationId` names the migration that moved it last, until its owner acquires it anew. */
export interface LeaseRecord {
  readonly owner: string | null;
  readonly epoch: bigint;
  readonly migrationId: string | null;
}

export const neverOwned: LeaseRecord = { owner: null, epoch: 0n, migrationId: null };

const VERSION = 1;

/** `write` names the write itself, for a store that cannot always say whether it was made. */
export function formatRecord(resource: ResourceId, { owner, epoch, migrationId }: LeaseRecord, write?: string): string {
  return `${JSON.stringify({ version: VERSION, resource: resourceKey(resource), owner, epoch: String(epoch), migrationId, write })}\n`;
}

/** Reads the record of a resource from its file, as `parseRecordText` does. */
export async function readRecord(path: string, resource: ResourceId): Promise<LeaseRecord> {
  const at = { name: path, data: { path } };
  let text: string | null;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw unavailable(at, error);
    text = null;
  }
  return parseRecordText(text, resource, at);
}

/** Where a record is kept, for whoever has to mend it. */
interface RecordPlace {
  readonly name: string;
  readonly data: Readonly<Record<string, string>>;
}

/**
 * Reads the record that is kept at `at`; null is one that was never written. One that cannot be read stays where it is and refuses everything
 * (`lease-unavailable`): moved away, it would look like a resource that nobody ever owned.
 */
export function parseRecordText(text: string | null, resource: ResourceId, at: RecordPlace): LeaseRecord {
  if (text === null) return neverOwned;
  try {
    return parseRecord(JSON.parse(text), resource);
  } catch (error) {
    throw unavailable(at, error);
  }
}

function parseRecord(value: unknown, resource: ResourceId): LeaseRecord {
  if (typeof value !== 'object' || value === null) throw new Error('it is no object');
  const { version, resource: named, owner, epoch, migrationId } = value as Partial<Record<string, unknown>>;
  if (version !== VERSION) throw new Error(`its version is ${String(version)}, this is for version ${VERSION}`);
  if (named !== resourceKey(resource)) throw new Error(`it is the record of ${String(named)}`);
  if (owner !== null && typeof owner !== 'string') throw new Error('its owner is no text');
  if (typeof epoch !== 'string' || !isEpoch(epoch)) throw new Error('its epoch is no whole number');
  if (migrationId !== null && typeof migrationId !== 'string') throw new Error('its migrationId is no text');
  return { owner, epoch: BigInt(epoch), migrationId };
}

function unavailable({ name, data }: RecordPlace, error: unknown): VmferryError {
  const reason = error instanceof Error ? error.message : String(error);
  return new VmferryError(
    'lease-unavailable',
    `The lease record ${name} cannot be read (${reason}). Mend it by hand; until then nobody gets the lease.`,
    { cause: error, data },
  );
}
