import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import { openForRestore, reviveGuest } from './restore.js';

/** A start from the image that the domain has. It is gone before the guest runs: from then on it would be a second copy. */
export async function startFromManaged(context: SourceContext, domain: Domain, paused: boolean): Promise<void> {
  const { managedImages } = context;
  const open = await openForRestore({ path: managedImages.pathOf(domain.uuid), ...(paused ? { state: 'paused' } : {}) }, [
    managedImages.dir,
  ]);
  try {
    await reviveGuest(context, domain, open, () => managedImages.remove(domain.uuid));
  } finally {
    await open.file.close();
  }
}
