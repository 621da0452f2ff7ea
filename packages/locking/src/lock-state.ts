import { VmferryError } from '@vmferry/errors';
import type { LockState, ResourceId } from './lock-driver.js';

const TEXT_MAX = 8 * 1024;
const GRANTS_MAX = 64;

export function resourceKey({ kind, key }: ResourceId): string {
  return `${kind}:${key}`;
}

/** The state that says these records of these resources, in their order. */
export function stateOf(
  driver: string,
  resources: readonly ResourceId[],
  records: readonly { readonly epoch: bigint }[],
): LockState {
  const grants = resources.map((resource, index) => ({
    key: resourceKey(resource),
    epoch: String(records[index]?.epoch ?? 0n),
  }));
  return { driver, v: 1, grants };
}

/** The state of those alone that nobody owns: the grants that can be acquired again. */
export function freeStateOf(
  driver: string,
  resources: readonly ResourceId[],
  records: readonly { readonly owner: string | null; readonly epoch: bigint }[],
): LockState {
  const isFree = (_: unknown, index: number) => records[index]?.owner === null;
  return stateOf(driver, resources.filter(isFree), records.filter(isFree));
}

/** The state as the text that goes into `<leases>`; null when it says nothing, as with the driver `none`. */
export function encodeLockState({ driver, v, grants }: LockState): string | null {
  if (grants.length === 0) return null;
  return JSON.stringify({ driver, v, grants: grants.map(({ key, epoch }) => ({ key, epoch })) });
}

/** Reads such a text: at most 8 KiB and 64 grants, of the driver `driver`. Throws `cookie-malformed`, `lock-driver-mismatch`. */
export function decodeLockState(text: string, driver: string): LockState {
  if (text.length > TEXT_MAX) throw malformed(`it is over ${TEXT_MAX} characters`);
  const state = parseJson(text);
  if (typeof state !== 'object' || state === null || !('driver' in state) || !('v' in state) || !('grants' in state)) {
    throw malformed('driver, v or grants is missing');
  }
  if (state.driver !== driver || state.v !== 1) {
    const named = `${String(state.driver).slice(0, 64)} (version ${String(state.v).slice(0, 8)})`;
    throw new VmferryError(
      'lock-driver-mismatch',
      `The lease state is of lock driver ${named}, this host uses ${driver} (version 1).`,
    );
  }
  if (!Array.isArray(state.grants) || state.grants.length > GRANTS_MAX)
    throw malformed(`grants is no list of at most ${GRANTS_MAX}`);
  const grants = state.grants.map(readGrant);
  if (new Set(grants.map(({ key }) => key)).size !== grants.length) throw malformed('a resource is named twice');
  return { driver, v: 1, grants };
}

function readGrant(grant: unknown): { key: string; epoch: string } {
  if (typeof grant !== 'object' || grant === null || !('key' in grant) || !('epoch' in grant))
    throw malformed('a grant is no object with key and epoch');
  const { key, epoch } = grant;
  if (typeof key !== 'string' || !/^(vm|disk|lease):.{1,1024}$/su.test(key))
    throw malformed('the key of a grant is not KIND:KEY');
  if (typeof epoch !== 'string' || !isEpoch(epoch)) throw malformed('the epoch of a grant is no whole number');
  return { key, epoch };
}

/** At most 18 digits: a billion changes of owner a second for 30 years. */
export function isEpoch(text: string): boolean {
  return /^(0|[1-9][0-9]{0,17})$/.test(text);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('it is not JSON');
  }
}

function malformed(reason: string): VmferryError {
  return new VmferryError('cookie-malformed', `The lease state cannot be read: ${reason}.`);
}
