import { parseState } from '@vmferry/domain';
import type { MigrationKey } from '@vmferry/migration';
import type { SourceContext } from '../context.js';
import type { Domains } from './domains.js';

/**
 * Adoption: the source-agent of the destination host takes over what has arrived. It pulls, on a notice and at its start: the record
 * must say `committed`, then the owner in the status document is changed in one atomic write, and only then it connects to QEMU. Of an offline
 * migration there is no guest: it takes note of the definition that the destination-agent has written.
 */
export class Adoption {
  readonly #context: SourceContext;
  readonly #domains: Domains;
  readonly #running = new Map<string, Promise<boolean>>();

  constructor(context: SourceContext, domains: Domains) {
    this.#context = context;
    this.#domains = domains;
  }

  /** Looks for committed domains that wait since before this agent's start. */
  async pull(): Promise<void> {
    for (const { value: status } of await this.#context.guestHost.statuses.list()) {
      if (status.owner === 'destination' && status.migration !== null) await this.adopt(status.uuid, status.migration);
    }
    for (const { name: uuid, value: key } of await this.#context.arrivals.list()) await this.adopt(uuid, key);
  }

  /** True when the domain is this agent's, now or already; one adoption of a domain at a time. */
  adopt(uuid: string, key: MigrationKey): Promise<boolean> {
    const running = this.#running.get(uuid);
    if (running !== undefined) return running;
    const adoption = this.#adopt(uuid, key).finally(() => this.#running.delete(uuid));
    this.#running.set(uuid, adoption);
    return adoption;
  }

  async #adopt(uuid: string, key: MigrationKey): Promise<boolean> {
    const record = await this.#context.incomingRecord(key);
    if (record?.decision !== 'committed') return false;
    if (record.offline) return this.#takeDefinition(uuid, key, record.createdAt);
    const { statuses } = this.#context.guestHost;
    const status = await statuses.read(uuid);
    // No status document: it was adopted before, and has ended since.
    if (status === null) return true;
    // One that is about to leave again was taken over long since; of a migration that it names only its own journal decides.
    if (status.owner === 'source' && status.migration?.role === 'source') return true;
    if (status.owner === 'source') return this.#domains.byUuid(uuid)?.guest != null || this.#take(uuid);
    if (status.migration?.nonce !== key.nonce) return false;
    await statuses.adopt(uuid);
    return this.#take(uuid);
  }

  /** Without its note of arrival it was taken before, and what the configuration is by now is this agent's own. */
  async #takeDefinition(uuid: string, { nonce }: MigrationKey, preparedAt: string): Promise<boolean> {
    const { arrivals, configs, log } = this.#context;
    if ((await arrivals.read(uuid))?.nonce !== nonce) return true;
    const config = await configs.read(uuid);
    if (config === null) return true;
    const { name, state } = await this.#domains.takeDefinition(uuid, config, preparedAt);
    log.info('a definition was taken over', { domain: name, uuid, ...state });
    return true;
  }

  async #take(uuid: string): Promise<boolean> {
    const { statuses } = this.#context.guestHost;
    const status = await statuses.read(uuid);
    if (status === null) return true;
    const settled = { ...status, ...parseState(status.state, status.reason), migration: null };
    await statuses.write(settled);
    const domain = await this.#domains.find(settled);
    this.#context.log.info('a domain was taken over', { domain: domain.name, uuid, ...domain.state });
    return true;
  }
}
