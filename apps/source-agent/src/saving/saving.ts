import type { DumpDomain, Dumped, ManagedSave, RestoreDomain, SaveDomain, SavedImage } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import type { Domains } from '../domains/domains.js';
import { dumpDomain } from './dump.js';
import { openForRestore, reviveGuest } from './restore.js';
import { saveDomain } from './save.js';

/** Saving and restoring as virsh knows them: save, restore, managedsave and managedsave-remove. */
export class Saving {
  readonly #context: SourceContext;
  readonly #domains: Domains;

  constructor(context: SourceContext, domains: Domains) {
    this.#context = context;
    this.#domains = domains;
  }

  save(domain: Domain, wish: SaveDomain, principal: string): Promise<SavedImage> {
    return saveDomain(this.#context, domain, { ...wish, roots: this.#context.imageRoots }, principal);
  }

  dump(domain: Domain, wish: DumpDomain, principal: string): Promise<Dumped> {
    return dumpDomain(this.#context, domain, wish, principal);
  }

  /** The image belongs to the domain: its next start uses it. Throws `domain-transient` for a domain that would be gone with its guest. */
  async managedSave(domain: Domain, wish: ManagedSave, principal: string): Promise<SavedImage> {
    const { managedImages } = this.#context;
    if (domain.config === null)
      throw new VmferryError(
        'invalid-argument',
        `The domain ${domain.name} is transient: nobody could start it again. Save it to a file of yours.`,
      );
    const wished = { ...wish, path: managedImages.pathOf(domain.uuid), roots: [managedImages.dir] };
    const saved = await saveDomain(this.#context, domain, wished, principal);
    managedImages.note(domain.uuid);
    return saved;
  }

  async removeManaged(domain: Domain, principal: string): Promise<void> {
    const release = await domain.jobs.begin('modify', principal);
    try {
      await this.#context.managedImages.remove(domain.uuid);
    } finally {
      await release();
    }
  }

  /** The image stays: it is whoever restores it who knows whether it is still of use. */
  async restore(wish: RestoreDomain, principal: string): Promise<Domain> {
    const open = await openForRestore(wish, this.#context.imageRoots);
    try {
      return await this.#domains.revive(open.definition, principal, (domain) =>
        reviveGuest(this.#context, domain, open, async () => undefined),
      );
    } finally {
      await open.file.close();
    }
  }
}
