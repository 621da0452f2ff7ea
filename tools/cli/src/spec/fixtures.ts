import type { DomainResource, MigrationResource, VersionReply } from '@vmferry/api';

/** A migration in the middle of its first pass. */
export function migrationOf(changes: Partial<MigrationResource> = {}): MigrationResource {
  return {
    id: 'm1',
    generation: 7,
    side: 'source',
    state: 'RUNNING',
    phase: 'perform',
    phaseTransitions: [
      { phase: 'begin', side: 'source', at: '2026-01-01T00:00:00.000Z' },
      { phase: 'perform', side: 'source', at: '2026-01-01T00:00:00.250Z' },
    ],
    domain: { uuid: '0a1b2c3d-0000-4000-8000-000000000001', name: 'web', destinationName: 'web' },
    protocol: 'v3',
    mode: { driver: 'peer-to-peer', transport: 'tunnelled' },
    flags: ['LIVE', 'PEER2PEER', 'TUNNELLED'],
    guest: { runningOn: 'source', detail: '' },
    source: { agent: 'http://127.0.0.1:7801', hostName: 'host-a', state: 'running' },
    destination: { agent: 'http://127.0.0.1:7812', hostName: 'host-b', state: 'incoming' },
    display: null,
    outcome: null,
    parameters: { bandwidthBytesPerSec: null, downtimeMsMax: 300, parallelConnections: null },
    progress: {
      memory: {
        totalBytes: 83_886_080,
        processedBytes: 35_861_299,
        transferredBytes: 35_861_299,
        remainingBytes: 47_815_065,
        dirtyRateBytesPerSec: 1_258_291,
        iteration: 1,
        zeroPages: 512,
      },
      throughputBytesPerSec: 851_443_712,
      downtime: { limitMs: 10, expectedMs: 4, actualMs: null, announcedMs: null },
      converging: null,
      hint: null,
    },
    cancel: null,
    timeouts: { totalSeconds: null, secondsPerGib: null, stallSeconds: null, action: 'cancel' },
    forceComplete: null,
    held: null,
    error: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    finishedAt: null,
    ...changes,
  };
}

const progress = migrationOf().progress;

export const succeeded = migrationOf({
  generation: 9,
  state: 'SUCCEEDED',
  phase: 'confirm',
  guest: { runningOn: 'destination', detail: '' },
  outcome: 'committed',
  progress: progress && {
    ...progress,
    memory: { ...progress.memory, remainingBytes: 0, processedBytes: 83_886_080, transferredBytes: 87_136_665, iteration: 3 },
    downtime: { limitMs: 10, expectedMs: 4, actualMs: 14, announcedMs: null },
  },
  finishedAt: '2026-01-01T00:00:01.230Z',
});

export const failed = migrationOf({
  generation: 9,
  state: 'FAILED',
  outcome: 'aborted',
  error: {
    type: '/problems/stream-failed',
    title: 'The stream broke',
    status: 502,
    detail: 'The peer relay reset the stream',
    code: 'stream-failed',
    retryable: false,
    side: 'source',
    phase: 'perform',
  },
  finishedAt: '2026-01-01T00:00:01.230Z',
});

export const cancelled = migrationOf({
  generation: 9,
  state: 'CANCELLED',
  outcome: 'aborted',
  cancel: { requestedAt: '2026-01-01T00:00:01.000Z', requestedBy: 'local', outcome: 'SUCCEEDED' },
  finishedAt: '2026-01-01T00:00:01.230Z',
});

export const needsAttention = migrationOf({
  generation: 9,
  state: 'NEEDS_ATTENTION',
  phase: 'finish',
  guest: { runningOn: 'unknown', detail: 'paused here' },
  outcome: 'unknown',
  held: { reason: 'the destination does not answer', since: '2026-01-01T00:00:01.000Z', hint: 'fence one side, then resolve' },
});

export const domainOf = (changes: Partial<DomainResource> = {}): DomainResource => ({
  uuid: '0a1b2c3d-0000-4000-8000-000000000001',
  name: 'web',
  type: 'qemu',
  persistent: true,
  state: 'running',
  reason: 'booted',
  memoryKib: 81_920,
  vcpus: 1,
  pid: 4_711,
  display: null,
  job: null,
  migrationId: null,
  autodestroy: false,
  tainted: [],
  managedSave: false,
  labels: [],
  warning: null,
  ...changes,
});

export const versionOf = (app: VersionReply['app'], host: string): VersionReply => ({
  app,
  version: '0.1.0',
  protocols: ['v3'],
  features: ['change-protection'],
  hostName: host,
  hostUuid: `uuid-of-${host}`,
  storeId: Buffer.from(host).toString('hex').padEnd(32, '0'),
});
