/**
 * The clauses of the handover rule, each a switch of the model alone. `found` names the invariant that breaks first when the
 * clause is off; the others are defence in depth, which the model shows to be redundant while everything else holds.
 */
export const clauses = {
  'permit-required': 'Finish is refused without the permit',
  'permit-durable': 'the permit is durable before it is released',
  'ask-after-permit': 'after the permit the source asks the record instead of resuming',
  'abort-evidence': 'a loaded image is given up only on evidence',
  'evidence-again': 'the evidence is taken again after the lease is back',
  'hold': 'a loaded destination is never killed on the word of a client',
  'mutex': 'Finish and abort exclude each other over their whole sequences',
  'start-paused': 'the destination starts with -S',
  'loaded-before-cont': 'no cont before the image has loaded',
  'return-path': 'completed on the source means loaded on the destination',
  'committing-first': 'committing is durable before cont',
  'proof-first': 'the proof of running comes before committed',
  'exit-first': 'from committing, the exit of QEMU is proven before aborted',
  'unknown-after-cont': 'a cont without an answer never ends in aborted',
  'store-id': 'an answer from another store is no answer',
  'tombstone': 'a key never seen gets a durable aborted record',
  'destroy-journalled': "the user's destroy is journalled before the kill",
  'ran-on-journalled': 'the guest going on at the source is journalled',
  'resume-journalled': 'resume on rollback is journalled',
  'drive-finish': 'a source that is gone with a permit makes the destination finish',
  'lease-back': 'the lease goes back before aborted is written',
  'lease-first': 'the lease is taken before cont',
  'free-completed': 'a lease that cannot be moved is freed when QEMU has completed, never at STOP',
  'fail-closed': 'a journal that cannot be written refuses the step',
  'fresh-look': 'QEMU is looked at before a wish to abort is weighed',
  'fresh-word': 'the source looks at its QEMU before it says that it holds the guest',
  'fresh-again': 'the source looks at its QEMU before it brings an event again whose journal failed',
  'kill-after-restart': 'an aborted destination is killed after a restart of its agent',
  'destroy-after-restart': 'a journalled destroy is carried out after a restart of the source agent',
  'read-before-migrate': 'the source reads the record before it tells QEMU to migrate',
  'bind-before-migrate': 'in v2 the record is bound before the source tells QEMU to migrate',
  'permit-when-asked': 'in v2 the source gives the permit to Finish only once it is journalled',
  'recheck': 'record, epoch and process are checked again before cont',
} as const;

export type Clause = keyof typeof clauses;
