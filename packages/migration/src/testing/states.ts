import type { DestinationState } from '../destination-machine.js';
import { permitDigest } from '../key.js';
import type { Decision, OutcomeRecord } from '../record.js';
import type { SourceStage, SourceState } from '../source-machine.js';

export const permit = '0123456789abcdef'.repeat(2);
export const wrongPermit = 'f'.repeat(32);

export function record(decision: Decision, mode: OutcomeRecord['mode'] = 'run'): OutcomeRecord {
  return {
    version: 1,
    key: { id: 'm1', nonce: 'a'.repeat(32) },
    decision,
    mode,
    permitDigest: permitDigest(permit),
    source: { url: 'http://a', storeId: 's', hostName: 'a', hostUuid: 'u' },
    lease: 'l1',
    reason: null,
  };
}

export function destination(facts: Partial<DestinationState> = {}): DestinationState {
  return {
    record: record('open'),
    qemu: 'loaded',
    activity: { t: 'idle' },
    permitted: false,
    abortReason: null,
    overruled: false,
    wroteCommitting: false,
    cont: 'none',
    ...facts,
  };
}

export function source(
  stage: SourceStage,
  facts: Partial<SourceState> = {},
  journal: Partial<SourceState['journal']> = {},
): SourceState {
  return {
    journal: {
      version: 1,
      key: { id: 'm1', nonce: 'a'.repeat(32) },
      stage,
      permit,
      destination: null,
      resumeOnRollback: true,
      destroyIntended: false,
      ranOn: false,
      returnedLease: null,
      ...journal,
    },
    qemu: 'alive',
    cancelWanted: false,
    answer: null,
    ...facts,
  };
}
