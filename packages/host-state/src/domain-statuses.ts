import { isDeepStrictEqual } from 'node:util';
import { VmferryError } from '@vmferry/errors';
import type { XmlElement } from '@vmferry/xml';
import { DocumentFolder } from './document-folder.js';
import type { XmlFolderOptions } from './domain-configs.js';
import { type DomainStatus, domainOf, formatStatus, parseStatus } from './domain-status.js';

/** The status documents of the guests of this host, `run/UUID/status.xml`; both agents read them, the owner writes. */
export class DomainStatuses {
  readonly #folder: DocumentFolder<DomainStatus>;
  /** A migration writes many states of one domain: its XML is checked once, not at every write. */
  readonly #domains = new Map<string, { readonly of: DomainStatus; readonly domain: XmlElement }>();

  constructor(options: XmlFolderOptions) {
    const encode = (_: string, status: DomainStatus) => formatStatus(status, this.#domainOf(status));
    this.#folder = new DocumentFolder({ ...options, suffix: '/status.xml', encode, decode: parseStatus });
  }

  /**
   * Replaces the document durably. Throws like `DocumentFolder.write`, and `handover-pending` when a destination-agent writes what the
   * source-agent has adopted: it was too slow, and must not take the guest back.
   */
  async write(status: DomainStatus): Promise<void> {
    if (status.owner === 'destination' && (await this.read(status.uuid))?.owner === 'source') throw adopted(status.uuid);
    await this.#folder.write(status.uuid, status);
  }

  /** Makes the first document of a guest durably. False when there is one already: another start was first, and it stays as it is. */
  async create(status: DomainStatus): Promise<boolean> {
    const { process } = await this.#folder.create(status.uuid, status);
    return isDeepStrictEqual(process, status.process);
  }

  /** The one change of owner: the source-agent takes over what has arrived. Throws `domain-not-found`. Idempotent. */
  async adopt(uuid: string): Promise<DomainStatus> {
    const status = await this.read(uuid);
    if (status === null) throw new VmferryError('domain-not-found', `There is no guest ${uuid} on this host to adopt.`);
    if (status.owner === 'source') return status;
    const mine: DomainStatus = { ...status, owner: 'source' };
    await this.#folder.write(uuid, mine);
    return mine;
  }

  read(uuid: string): Promise<DomainStatus | null> {
    return this.#folder.read(uuid);
  }

  list(): Promise<{ name: string; value: DomainStatus }[]> {
    return this.#folder.list();
  }

  /** The files that were set aside and wait for a person. */
  unreadable(): Promise<string[]> {
    return this.#folder.unreadable();
  }

  remove(uuid: string): Promise<void> {
    this.#domains.delete(uuid);
    return this.#folder.remove(uuid);
  }

  #domainOf(status: DomainStatus): XmlElement {
    const known = this.#domains.get(status.uuid);
    if (known?.of.domainXml === status.domainXml && known.of.name === status.name) return known.domain;
    const domain = domainOf(status);
    this.#domains.set(status.uuid, { of: status, domain });
    return domain;
  }
}

function adopted(uuid: string): VmferryError {
  return new VmferryError(
    'handover-pending',
    `The source-agent of this host has adopted the guest ${uuid}; it alone writes its status now.`,
  );
}
