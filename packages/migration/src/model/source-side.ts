import {
  restartedSource,
  type SourceEffect,
  type SourceEvent,
  type SourceJournal,
  type SourceState,
  stepSource,
} from '../source-machine.js';
import { intern, listOf, remembered } from './intern.js';
import type { Config, Variant, World } from './world.js';

/* The shell of the source machine: the journal first, then its effects, one at a time. */

type Step = ReturnType<typeof stepSource>;

const step = remembered((state: SourceState, event: SourceEvent) => canonicalStep(stepSource(state, event)));
const restart = remembered((journal: SourceJournal, look: { readonly qemu: 'alive' | 'gone' }) =>
  canonicalStep(restartedSource(journal, look.qemu)),
);

/** What was heard last is for people; it decides nothing. */
function canonicalStep(made: Step): Step {
  return { state: intern({ ...made.state, journal: intern(made.state.journal), answer: null }), effects: made.effects };
}

export function crashSource(w: World): World {
  const broken = w.driver === 'performing' ? 'cancel' : w.driver;
  return {
    ...w,
    driver: broken,
    source: null,
    sourceTodo: listOf([]),
    sourceAgain: null,
    sourceRetry: false,
    migrateWanted: false,
    bindAnswered: false,
  };
}

export function restartSource(w: World, config: Config): World {
  const qemu = w.sourceQemu === 'gone' ? 'gone' : 'alive';
  const over = { ...w, sourceSession: w.sourceSession === 'due' ? ('over' as const) : w.sourceSession };
  if (config.off.has('destroy-after-restart')) {
    const made = restart(intern({ ...w.journal, destroyIntended: false }), intern({ qemu }));
    return applied(
      over,
      {
        ...made,
        state: intern({ ...made.state, journal: intern({ ...made.state.journal, destroyIntended: w.journal.destroyIntended }) }),
      },
      config,
    );
  }
  return applied(over, restart(w.journal, intern({ qemu })), config);
}

/** One event at the source's machine. */
export function sourceHears(w: World, event: SourceEvent, config: Config): Variant[] {
  if (w.source === null) return [{ note: '', cost: 0, next: w }];
  const made = mutated(w, w.source, event, config);
  const done = applied(w, made, config);
  if (made.state.journal === w.source.journal) return [{ note: '', cost: 0, next: done }];
  return [
    { note: '', cost: 0, next: done },
    { note: ', its journal cannot be written', cost: 1, next: unwritten(w, done, event, config) },
  ];
}

/** The step did not happen; its event is brought again. */
function unwritten(w: World, done: World, event: SourceEvent, config: Config): World {
  if (config.off.has('fail-closed')) return { ...done, journal: w.journal };
  return w.sourceAgain === null ? { ...w, sourceAgain: intern(event) } : crashSource(w);
}

function mutated(w: World, state: SourceState, event: SourceEvent, config: Config): Step {
  const asks = event.t === 'confirm' || event.t === 'cancel';
  if (config.off.has('ask-after-permit') && asks && state.journal.stage === 'permitted' && w.sourceQemu !== 'gone') {
    return step(state, intern({ t: 'answer', answer: 'aborted', lease: null }));
  }
  return step(state, intern(event));
}

function applied(w: World, made: Step, config: Config): World {
  const todo: SourceEffect[] = [...w.sourceTodo];
  for (const effect of made.effects) {
    if (effect.t === 'retry-later' || effect.t === 'acknowledge') continue;
    const turned = config.off.has('drive-finish') && effect.t === 'drive-finish';
    const asked: SourceEffect = turned ? { t: 'ask', abortUnlessCommitted: true } : effect;
    if (!todo.some((known) => known.t === asked.t)) todo.push(asked);
  }
  const sourceRetry = w.sourceRetry || made.effects.some((effect) => effect.t === 'retry-later');
  const userDestroyed = w.userDestroyed || made.state.journal.destroyIntended;
  return {
    ...w,
    source: made.state,
    journal: written(w, made.state.journal, config),
    sourceTodo: listOf(todo),
    sourceRetry,
    userDestroyed,
  };
}

/** What reaches the disk: everything, unless a clause that says so is off. */
function written(w: World, journal: SourceJournal, { off }: Config): SourceJournal {
  if (off.has('permit-durable') && journal.stage === 'permitted') return w.journal;
  if (off.has('destroy-journalled')) return intern({ ...journal, destroyIntended: false });
  if (off.has('ran-on-journalled')) return intern({ ...journal, ranOn: false });
  if (off.has('resume-journalled')) return intern({ ...journal, resumeOnRollback: true });
  return journal;
}
