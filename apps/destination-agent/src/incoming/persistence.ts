import { VmferryError } from '@vmferry/errors';
import type { DestinationContext } from '../context.js';
import type { IncomingEvents } from './incoming-events.js';
import type { IncomingJournal } from './incoming-journal.js';

/** What the configuration of an incoming domain is kept through. */
export interface PersistencePorts {
  readonly configs: Pick<DestinationContext['configs'], 'read' | 'write' | 'remove'>;
  readonly events: IncomingEvents;
  journal(): IncomingJournal;
  write(change: Pick<IncomingJournal, 'configBefore'>): Promise<void>;
}

/**
 * The configuration of a domain that comes in (S13): written as Prepare has checked it, before the guest is run, and put back as it was when the
 * migration aborts after all. What was there is journalled before it is replaced, so that a restart in between loses nothing.
 */
export class Persistence {
  readonly #ports: PersistencePorts;
  #kept: Promise<void> | null = null;
  #turn: Promise<void> = Promise.resolve();
  #isOver = false;
  #foreseen: Promise<void> = Promise.resolve();

  constructor(ports: PersistencePorts) {
    this.#ports = ports;
  }

  /** Journals what is there now, when that is not journalled yet; so it costs nothing when the guest stands still. */
  foresee(): Promise<void> {
    const foreseeing = this.#foreseen.then(() => this.#foresee());
    this.#foreseen = foreseeing.catch(() => undefined);
    return foreseeing;
  }

  async #foresee(): Promise<void> {
    const { domain, configBefore } = this.#ports.journal();
    if (domain?.persist !== true) return;
    const now = await this.#ports.configs.read(domain.uuid);
    // Ours, from an earlier try or an earlier life of this agent: what was there before that is journalled.
    if (configBefore !== null && (now === configBefore.xml || now === domain.xml)) return;
    await this.#ports.write({ configBefore: { xml: now } });
  }

  /**
   * Writes it durably, once in a life; nothing when nothing is to be kept. Throws `persist-failed`, and it is tried again when asked again; and
   * `migration-aborted` once the abort puts back what was there: a Finish may be under way beside it.
   */
  keep(): Promise<void> {
    this.#kept ??= this.#inTurn(() => this.#keep()).catch((thrown: unknown) => {
      this.#kept = null;
      throw thrown;
    });
    return this.#kept;
  }

  /** The same when somebody may have removed it since. */
  async ensure(): Promise<void> {
    const { domain } = this.#ports.journal();
    if (domain !== null && (await this.#ports.configs.read(domain.uuid)) === null) this.#kept = null;
    await this.keep();
  }

  /**
   * Once the record has committed: what Finish has kept, or, when evidence has decided instead, what is to be kept still. From then on the
   * configuration is the user's, who may have written another since an earlier life of this agent has kept ours.
   */
  async settle(): Promise<void> {
    const { domain, configBefore } = this.#ports.journal();
    if (domain === null || this.#kept !== null) return this.keep();
    if (configBefore !== null && (await this.#ports.configs.read(domain.uuid)) !== configBefore.xml) return;
    await this.keep();
  }

  #inTurn(act: () => Promise<void>): Promise<void> {
    const acting = this.#turn.then(act);
    this.#turn = acting.catch(() => undefined);
    return acting;
  }

  async #keep(): Promise<void> {
    const { domain } = this.#ports.journal();
    if (domain?.persist !== true) return;
    if (this.#isOver)
      throw new VmferryError(
        'migration-aborted',
        `The migration of domain ${domain.name} has been aborted: nothing of it is kept.`,
      );
    try {
      await this.foresee();
      await this.#ports.configs.write(domain.uuid, domain.xml);
    } catch (cause) {
      const { message } = VmferryError.from(cause);
      throw new VmferryError(
        'persist-failed',
        `The configuration of domain ${domain.name} could not be kept on the destination: ${message}`,
        {
          cause,
          side: 'destination',
        },
      );
    }
    this.#ports.events.defined(this.#ports.journal().configBefore?.xml == null ? 'added' : 'updated');
  }

  /** The migration has aborted. A configuration that somebody else has written meanwhile stays. Idempotent. */
  putBack(): Promise<void> {
    this.#isOver = true;
    return this.#inTurn(() => this.#putBack());
  }

  async #putBack(): Promise<void> {
    const { domain, configBefore } = this.#ports.journal();
    if (domain === null || configBefore === null || configBefore.xml === domain.xml) return;
    const { configs, events } = this.#ports;
    if ((await configs.read(domain.uuid)) !== domain.xml) return;
    if (configBefore.xml === null) await configs.remove(domain.uuid);
    else await configs.write(domain.uuid, configBefore.xml);
    events.putBack(configBefore.xml);
  }
}
