import { VmferryError } from '@vmferry/errors';

/** The five steps as a driver of a migration sees them: the source-agent for peer-to-peer, a client for a managed one. */
export interface Steps<Begun, Prepared, Performed, Finished> {
  begin(): Promise<Begun>;
  prepare(begun: Begun): Promise<Prepared>;
  perform(begun: Begun, prepared: Prepared): Promise<Performed>;
  /** `performed` is null when Perform or Prepare failed: then Finish only asks the destination to abort. */
  finish(begun: Begun, performed: Performed | null): Promise<Finished>;
  /** A request that the source reads the record and acts on it (rule 6); answers with what the record said. */
  confirm(begun: Begun, finished: Finished | null): Promise<ConfirmedOutcome>;
}

export type ConfirmedOutcome = 'open' | 'pending' | 'committed' | 'aborted' | 'unknown';

export type StepName = 'begin' | 'prepare' | 'perform' | 'finish' | 'confirm';

export interface Coordination {
  /** What Confirm read in the record: `committed` is success, whatever was lost on the way (S26, S27, S41). */
  readonly outcome: ConfirmedOutcome;
  /**
   * The first error (S27, I8), with the later ones kept beside it. Null only for `committed` with every reply had: another outcome
   * is never without an error (S26).
   */
  readonly error: VmferryError | null;
}

const sideOf = { begin: 'source', prepare: 'destination', perform: 'source', finish: 'destination', confirm: 'source' } as const;

/**
 * Drives one migration: a flat list of five steps with one epilogue. On return the guest runs on the destination
 * (`committed`), or on the source (`aborted`), or the record is not decided yet and the source agent goes on asking.
 * Begin's own error is thrown: nothing has happened then.
 */
export async function coordinate<B, P, R, F>(
  steps: Steps<B, P, R, F>,
  now: () => Date,
  entered: (step: StepName) => void = () => undefined,
): Promise<Coordination> {
  let first: VmferryError | null = null;
  const attempt = async <T>(step: StepName, act: () => Promise<T>): Promise<T | null> => {
    entered(step);
    try {
      return await act();
    } catch (thrown) {
      const error = VmferryError.from(thrown).at({ side: sideOf[step], phase: step });
      first = first === null ? error : first.suppress(error, now());
      return null;
    }
  };

  entered('begin');
  const begun = await steps.begin().catch((thrown: unknown) => {
    throw VmferryError.from(thrown).at({ side: sideOf.begin, phase: 'begin' });
  });
  const prepared = await attempt('prepare', () => steps.prepare(begun));
  const performed = prepared === null ? null : await attempt('perform', () => steps.perform(begun, prepared));
  const finished = await attempt('finish', () => steps.finish(begun, performed));
  const confirmed = await attempt('confirm', () => steps.confirm(begun, finished));
  const outcome = confirmed ?? 'pending';
  return { outcome, error: first ?? errorOf(outcome) };
}

function errorOf(outcome: ConfirmedOutcome): VmferryError | null {
  switch (outcome) {
    case 'committed':
      return null;
    case 'aborted':
      return new VmferryError('migration-aborted', 'The destination aborted the migration. The guest stays on the source.');
    case 'open':
    case 'pending':
    case 'unknown':
      return new VmferryError(
        'migration-undecided',
        `The record of the destination says ${outcome}. The source agent goes on asking.`,
      );
    default:
      return outcome satisfies never;
  }
}
