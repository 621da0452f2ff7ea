/** One row of the outcome matrix (requirements, The outcome matrix): how things are before, and the one flag that is given. */
export interface Row {
  readonly guest: 'running' | 'paused';
  readonly source: 'persistent' | 'transient';
  /** Whether the target has a configuration of this name already. */
  readonly configThere: boolean;
  readonly flag: 'LIVE' | 'PERSIST_DEST' | 'UNDEFINE_SOURCE' | 'PAUSED';
}

/** How things are to be afterwards. */
export interface Outcome {
  readonly guest: 'running' | 'paused';
  readonly configHere: boolean;
  readonly configThere: boolean;
}

const flags = ['LIVE', 'PERSIST_DEST', 'UNDEFINE_SOURCE', 'PAUSED'] as const;

export const rows: readonly Row[] = flags.flatMap((flag) =>
  (['running', 'paused'] as const).flatMap((guest) =>
    (['persistent', 'transient'] as const).flatMap((source) =>
      [false, true].map((configThere) => ({ guest, source, configThere, flag })),
    ),
  ),
);

/** The four sentences of the matrix. */
export function outcomeOf({ guest, source, configThere, flag }: Row): Outcome {
  return {
    guest: guest === 'paused' || flag === 'PAUSED' ? 'paused' : 'running',
    configHere: source === 'persistent' && flag !== 'UNDEFINE_SOURCE',
    configThere: configThere || flag === 'PERSIST_DEST',
  };
}

export function titleOf({ guest, source, configThere, flag }: Row): string {
  return `${flag}, ${guest}, ${source}, ${configThere ? 'a configuration' : 'nothing'} on the target`;
}
