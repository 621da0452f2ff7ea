import type { MigrationParameters } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { KeptDocument } from '@vmferry/host-state';
import type { FarRecord } from './far-record.js';
import type { OutgoingJournal } from './outgoing-journal.js';
import type { AcceptedPerform } from './perform-request.js';
import type { Sender } from './sending.js';
import type { TransferEnd } from './transfer.js';

interface Parts {
  readonly journal: Pick<KeptDocument<OutgoingJournal>, 'value'>;
  readonly record: Pick<FarRecord, 'refuseUnlessOpen'>;
  readonly cancelWanted: () => boolean;
  /** Throws when something of the same domain comes in to this host. */
  readonly refuseUnlessMine: () => Promise<void>;
  /** Told when another life of the agent was in Perform: nothing was sent, and nothing will complete. */
  readonly onCancelled: () => Promise<void>;
}

/** Perform of an offline migration: Prepare has brought the definition; what is left is to read the record, and to see that nothing came in here. */
export class OfflineSending implements Sender {
  readonly begun = false;
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async send({ peer }: Pick<AcceptedPerform, 'peer'>): Promise<TransferEnd> {
    const { record, journal, cancelWanted, refuseUnlessMine } = this.#parts;
    await record.refuseUnlessOpen(peer);
    await refuseUnlessMine();
    if (!cancelWanted()) return { t: 'completed' };
    const { id } = journal.value.machine.key;
    throw new VmferryError('migration-cancelled', `The migration ${id} was cancelled before its permit was given.`);
  }

  resume(): void {
    // There is no transfer that could be taken up.
  }

  follow(): Promise<void> {
    return Promise.resolve();
  }

  cancel(): Promise<void> {
    return this.#parts.onCancelled();
  }

  pause(): Promise<void> {
    return Promise.resolve();
  }

  /** Throws `not-migrating`. */
  steer(_parameters: MigrationParameters): Promise<void> {
    const { id } = this.#parts.journal.value.machine.key;
    return Promise.reject(
      new VmferryError('not-migrating', `The migration ${id} is offline: no memory is sent that limits could be set for.`),
    );
  }
}
