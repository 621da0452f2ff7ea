import type { MigrationResource } from '@vmferry/api';
import { toProblem, type VmferryError } from '@vmferry/errors';
import { isOffline, type SourceState } from '@vmferry/migration';
import type { SourceContext } from '../context.js';
import type { OutgoingJournal } from './outgoing-journal.js';

type Changing = Pick<
  MigrationResource,
  | 'state'
  | 'guest'
  | 'source'
  | 'destination'
  | 'display'
  | 'outcome'
  | 'parameters'
  | 'cancel'
  | 'timeouts'
  | 'forceComplete'
  | 'error'
  | 'finishedAt'
>;

/** The resource of an outgoing migration as its journal alone tells it. */
export function firstResource(context: SourceContext, journal: OutgoingJournal): Omit<MigrationResource, 'generation'> {
  const state: SourceState = { journal: journal.machine, qemu: 'alive', cancelWanted: false, answer: journal.outcome };
  const phases =
    journal.phases.length === 0 ? [{ phase: 'begin', side: 'source', at: journal.createdAt } as const] : journal.phases;
  return {
    id: journal.machine.key.id,
    side: 'source',
    phase: phases.at(-1)?.phase ?? 'begin',
    phaseTransitions: phases,
    domain: journal.domain,
    protocol: journal.protocol,
    mode: { driver: journal.driver, transport: journal.transport },
    flags: journal.flags,
    progress: journal.progress,
    held: null,
    createdAt: journal.createdAt,
    ...resourceOf(context, journal, state, null),
    error: journal.error === null ? null : problemOf(journal.error),
  };
}

/** What changes in it with each step of the machine. */
export function resourceOf(
  context: SourceContext,
  journal: OutgoingJournal,
  state: SourceState,
  error: VmferryError | null,
): Changing {
  const answer = state.answer === 'silent' ? null : state.answer;
  const { stage } = state.journal;
  return {
    state: stateOf(journal, state),
    guest: guestOf(journal, state, context.host.hostName),
    source: { agent: context.publicUrl(), hostName: context.host.hostName, state: stage },
    destination: {
      agent: state.journal.destination?.url ?? journal.destinationAgent,
      hostName: journal.destinationHost,
      state: state.answer ?? 'not asked',
    },
    display: stage === 'resuming' || stage === 'stayed' ? null : journal.display,
    outcome: stage === 'left' ? 'committed' : answer,
    parameters: {
      bandwidthBytesPerSec: journal.bandwidthBytesPerSec,
      downtimeMsMax: journal.downtimeMsMax,
      parallelConnections: journal.parallelConnections,
    },
    cancel: cancelOf(journal, state),
    timeouts: timeoutsOf(journal),
    forceComplete: journal.forceComplete,
    error: error === null || stage === 'left' ? null : { ...toProblem(error) },
    finishedAt: journal.finishedAt,
  };
}

function stateOf(journal: OutgoingJournal, state: SourceState): MigrationResource['state'] {
  switch (state.journal.stage) {
    case 'left':
      return 'SUCCEEDED';
    case 'stayed':
      // The domain is free for another migration only then.
      if (journal.finishedAt === null) return journal.cancelRequested === null ? 'RUNNING' : 'CANCELLING';
      return journal.cancelRequested === null ? 'FAILED' : 'CANCELLED';
    case 'lost':
      return state.answer === 'unknown' ? 'NEEDS_ATTENTION' : 'FAILED';
    case 'permitted':
    case 'resuming':
      if (state.answer === 'unknown' || state.answer === 'silent') return 'NEEDS_ATTENTION';
      return journal.cancelRequested === null ? 'RUNNING' : 'CANCELLING';
    case 'begun':
    case 'performing':
      if (state.qemu === 'gone') return 'NEEDS_ATTENTION';
      return journal.cancelRequested === null ? 'RUNNING' : 'CANCELLING';
    case 'leaving':
      return 'RUNNING';
  }
}

/** In the words of a reader who sees both hosts. */
function guestOf(journal: OutgoingJournal, state: SourceState, hostName: string): MigrationResource['guest'] {
  const where = journal.destinationHost ?? 'the destination';
  if (isOffline(journal.flags)) {
    const runningOn = state.journal.stage === 'lost' ? 'unknown' : 'none';
    return { runningOn, detail: definitionOf(journal, state, hostName, where) };
  }
  switch (state.journal.stage) {
    case 'begun':
    case 'performing':
      if (state.qemu === 'gone')
        return { runningOn: 'none', detail: `Its QEMU died on ${hostName} before the destination was permitted to run it.` };
      return { runningOn: 'source', detail: 'The source decides alone until QEMU has completed.' };
    case 'permitted':
      return { runningOn: 'unknown', detail: `QEMU has completed; the record on ${where} decides.` };
    case 'resuming':
      return {
        runningOn: 'none',
        detail: `The record says aborted, or no permit was given; the guest is being resumed on ${hostName}.`,
      };
    case 'stayed':
      return {
        runningOn: 'source',
        detail: state.journal.resumeOnRollback
          ? `It has stayed on ${hostName}; its domain tells whether it runs.`
          : `It is on ${hostName}, paused as its user left it.`,
      };
    case 'leaving':
    case 'left':
      return { runningOn: 'destination', detail: `The record on ${where} says committed.` };
    case 'lost':
      return {
        runningOn: state.answer === 'unknown' ? 'unknown' : 'none',
        detail: `Its QEMU ended on ${hostName} during the migration.`,
      };
  }
}

/** Offline nobody runs: what there is to tell is where the definition is. */
function definitionOf(
  { flags }: OutgoingJournal,
  { journal: { stage }, answer }: SourceState,
  hostName: string,
  where: string,
): string {
  switch (stage) {
    case 'begun':
    case 'performing':
      return `Offline: its definition is on ${hostName} until ${where} is asked to keep it.`;
    case 'permitted':
      return `Offline: its definition is on ${hostName}; the record on ${where} decides whether it is there too.`;
    case 'resuming':
    case 'stayed':
      return `Offline: its definition has stayed on ${hostName}.`;
    case 'leaving':
    case 'left':
      return `Offline: its definition is on ${where}${flags.includes('UNDEFINE_SOURCE') ? '' : `, and on ${hostName} still`}.`;
    case 'lost':
      return `Offline: its definition was gone on ${hostName} before the record on ${where} said committed: it says ${answer ?? 'nothing'}.`;
  }
}

function cancelOf({ cancelRequested }: OutgoingJournal, { journal }: SourceState): MigrationResource['cancel'] {
  if (cancelRequested === null) return null;
  const outcome =
    journal.stage === 'stayed'
      ? 'SUCCEEDED'
      : journal.stage === 'left' || journal.stage === 'leaving'
        ? 'TOO_LATE'
        : journal.stage === 'lost'
          ? 'FAILED'
          : 'PENDING';
  return { requestedAt: cancelRequested.at, requestedBy: cancelRequested.by, outcome };
}

function timeoutsOf({ timeouts }: OutgoingJournal): MigrationResource['timeouts'] {
  const { totalSeconds = null, secondsPerGib = null, stallSeconds = null, action = 'cancel' } = timeouts;
  return { totalSeconds, secondsPerGib, stallSeconds, action };
}

/** The journal keeps the problem document as it was served. */
function problemOf(stored: Record<string, unknown>): MigrationResource['error'] {
  return stored as NonNullable<MigrationResource['error']>;
}
