import { type MigrationParameters, type MigrationProgress, parseTcpUri } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { KeptDocument } from '@vmferry/host-state';
import type { MigrationTls } from '@vmferry/hypervisor';
import { wantsTls } from '@vmferry/migration';
import type { Log } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import { abandonStreams, openChannel } from './channel.js';
import type { FarRecord } from './far-record.js';
import type { OutgoingChannel } from './outgoing-channel.js';
import type { OutgoingJournal } from './outgoing-journal.js';
import { forgetSocket } from './parallel-channel.js';
import type { Overdue } from './patience.js';
import type { AcceptedPerform } from './perform-request.js';
import type { Stuck } from './standstill.js';
import { Transfer, type TransferEnd } from './transfer.js';

interface Parts {
  readonly context: SourceContext;
  readonly domain: Domain;
  readonly journal: KeptDocument<OutgoingJournal>;
  readonly record: FarRecord;
  readonly log: Log;
  /** Whether somebody wants the guest to stay. */
  readonly cancelWanted: () => boolean;
  readonly onProgress: (progress: MigrationProgress) => void;
  readonly onOverdue: (overdue: Overdue) => Promise<void>;
  readonly onStuck: (stuck: Stuck) => void;
  /** Told how a transfer ended that this life of the agent did not start. */
  readonly onEndOfFollowed: (end: TransferEnd) => Promise<void>;
}

/** What Perform does to bring over what a migration moves. */
export interface Sender {
  /** Whether memory is being sent, or was. */
  readonly begun: boolean;
  send(accepted: AcceptedPerform): Promise<TransferEnd>;
  resume(): void;
  follow(): Promise<void>;
  cancel(): Promise<void>;
  pause(): Promise<void>;
  steer(parameters: MigrationParameters): Promise<void>;
}

/** The sending of the guest's memory, from the opening of its channel to QEMU's terminal status. */
export class Sending implements Sender {
  readonly #parts: Parts;
  #transfer: Transfer | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get begun(): boolean {
    return this.#transfer !== null;
  }

  /** Resolves with QEMU's terminal status. Throws when QEMU was not told to migrate, or would not. */
  async send({ peer, stream, bandwidthMibPerSec, display }: AcceptedPerform): Promise<TransferEnd> {
    const { context, journal, record, log } = this.#parts;
    // Nobody is connected to on the word of a cookie alone: the record that it names has to know the migration first (threats, row 6).
    await record.refuseUnlessOpen(peer);
    const { transport, machine } = journal.value;
    if (stream === null) throw new VmferryError('internal', `The migration ${machine.key.id} has no stream to send to.`);
    const tls = await this.#tlsTo(stream.url);
    const channel = await openChannel(context, this.#parts.domain.activeGuest(), {
      transport,
      migrationId: machine.key.id,
      stream,
    });
    try {
      await this.#makeReady(bandwidthMibPerSec);
    } catch (thrown) {
      giveUp(channel);
      if (transport === 'tunnelled')
        void abandonStreams(context, machine.key.id).catch((error: unknown) =>
          log.warn('a stream could not be ended', { error }),
        );
      throw thrown;
    }
    this.#transfer = this.#newTransfer();
    try {
      // Only SPICE has clients that can be sent on (S44); those of VNC connect anew.
      await this.#transfer.start(channel, { display: display?.type === 'spice' ? display : null, tls });
      const end = await this.#transfer.end;
      return end.t === 'failed' ? { ...end, carrier: await channel.whyBroken() } : end;
    } finally {
      this.#abandonUnlessCompleted(this.#transfer);
    }
  }

  /** A stream whose migration has come to nothing is ended at the relay: it might wait for a peer for ever, in one of its places. */
  #abandonUnlessCompleted(transfer: Transfer): void {
    const { context, journal, log } = this.#parts;
    const { transport, machine } = journal.value;
    if (transport !== 'tunnelled') return;
    void transfer.end
      .then((end) => (end.t === 'completed' ? undefined : abandonStreams(context, machine.key.id)))
      .catch((error: unknown) => log.warn('the streams of the migration could not be ended', { error }));
  }

  /** What QEMU encrypts the stream with; the destination's certificate has to be of the host that the stream goes to. Throws `tls-unavailable`. */
  async #tlsTo(url: string): Promise<MigrationTls | null> {
    const { context, journal } = this.#parts;
    return wantsTls(journal.value.flags) ? context.migrateTls.credentials('client', hostOf(url)) : null;
  }

  /** A transfer that another life of the agent has started: its end is waited for. `follow` looks at QEMU for it. */
  resume(): void {
    const transfer = this.#newTransfer();
    this.#transfer = transfer;
    this.#abandonUnlessCompleted(transfer);
    void transfer.end.then((end) => this.#parts.onEndOfFollowed(end));
    if (this.#parts.journal.value.parallelConnections !== null) this.#forgetSocket();
  }

  async follow(): Promise<void> {
    await this.#transfer?.follow();
  }

  #forgetSocket(): void {
    const { domain, log } = this.#parts;
    forgetSocket(domain.activeGuest()).catch((error: unknown) =>
      log.warn('the socket of an earlier life stays behind', { error }),
    );
  }

  /** `migrate_cancel`, the channel shut first; QEMU's terminal status is the answer. */
  async cancel(): Promise<void> {
    if (this.#transfer === null) {
      this.resume();
      await this.follow();
    }
    await this.#transfer?.cancel();
  }

  /** Stops the guest, so that the rest of its memory goes over. */
  async pause(): Promise<void> {
    await this.#transfer?.pause();
  }

  async steer(parameters: MigrationParameters): Promise<void> {
    const { bandwidthMibPerSec, downtimeMsMax } = parameters;
    const { bandwidthBytesPerSec, timeouts } = this.#parts.journal.value;
    // One that was raised to complete stays raised unless another is asked for.
    const asked = bandwidthMibPerSec === undefined ? {} : { bandwidthBytesPerSec: bandwidthBytesPerSec ?? undefined };
    await this.#transfer?.steer({ ...asked, downtimeMsMax, timeouts });
  }

  /** The last things before QEMU is told to migrate. */
  async #makeReady(bandwidthMibPerSec: number | undefined): Promise<void> {
    const { context, domain, journal, cancelWanted } = this.#parts;
    await context.faults('S7');
    const { qmp } = domain.activeGuest();
    if (bandwidthMibPerSec !== undefined) await journal.write({ bandwidthBytesPerSec: bandwidthMibPerSec * 1_048_576 });
    if (domain.state.state !== 'running') await domain.activeGuest().activateDisks();
    else if (!journal.value.flags.includes('LIVE')) {
      // Non-live: the guest stands still while its memory goes over; rollback runs it again.
      await qmp.execute('stop', {});
      await domain.setState({ state: 'paused', reason: 'migration' });
    }
    if (cancelWanted()) {
      const { id } = journal.value.machine.key;
      throw new VmferryError('migration-cancelled', `The migration ${id} was cancelled before its stream began.`);
    }
  }

  #newTransfer(): Transfer {
    const { context, domain, journal, log, onProgress, onOverdue, onStuck } = this.#parts;
    const { bandwidthBytesPerSec, downtimeMsMax, timeouts } = journal.value;
    return new Transfer({
      qmp: domain.activeGuest().qmp,
      clock: context.clock,
      faults: context.faults,
      log,
      bandwidthBytesPerSec,
      downtimeMsMax,
      timeouts,
      memoryKib: domain.definition.memoryKib,
      onProgress,
      onOverdue,
      onStuck,
    });
  }
}

/** Without the brackets of an address: it is held against the names of a certificate. */
function hostOf(url: string): string {
  const tcp = parseTcpUri(url);
  const host = typeof tcp === 'string' ? new URL(url).hostname : tcp.host;
  return host.replace(/^\[|\]$/g, '');
}

function giveUp(channel: OutgoingChannel): void {
  channel.shut();
  channel.release();
}
