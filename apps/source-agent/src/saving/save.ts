import type { SaveDomain, SavedImage } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { Guest } from '@vmferry/guest';
import { markComplete, writeHead } from '@vmferry/save-image';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import { targetXmlOf } from '../outgoing/begin-request.js';
import { asFileJob, type FileJob } from './file-job.js';
import { goOn } from './go-on.js';
import { ImageTarget, isCommitted } from './image-target.js';
import { memoryToFile } from './memory-to-file.js';

/** What a save writes, and how. */
export interface SaveWish extends SaveDomain {
  readonly path: string;
  /** Below which folders the file may lie. */
  readonly roots: readonly string[];
}

/**
 * Saves a guest to a file and ends it here (libvirt-protocol, A10), as an async job that shows its progress and can be aborted. The image counts from the moment
 * it takes its place, whole and on disk: before that the guest goes on, whatever fails; after that it is this agent, or its next life, that ends QEMU. The status
 * document says which file it is. Throws `save-failed`, `save-cancelled`, `guest-gone`, `image-path-refused`, and what the job and the definition throw.
 */
export async function saveDomain(context: SourceContext, domain: Domain, wish: SaveWish, principal: string): Promise<SavedImage> {
  return asFileJob(domain, 'save', principal, async (job) => {
    const guest = domain.activeGuest();
    domain.refuseUndecided();
    if (domain.hasFallen)
      throw new VmferryError('domain-not-running', `The domain ${domain.name} has just shut down or panicked.`);
    const xml = targetXmlOf(domain, wish.xml);
    const target = await ImageTarget.create(wish.path, wish.roots);
    const wasRunning = domain.state.state === 'running';
    try {
      await writeImage(context, { domain, guest, target, job }, { ...wish, xml, wasRunning });
    } catch (thrown) {
      throw await stay(context, { domain, guest, target }, wasRunning, VmferryError.from(thrown));
    }
    const { size } = await target.file.stat();
    await target.file.close();
    await domain.end({ state: 'shutoff', reason: 'saved' }, 'saved');
    return { path: target.path, format: wish.format ?? 'raw', bytes: size };
  });
}

interface Parts {
  readonly domain: Domain;
  readonly guest: Guest;
  readonly target: ImageTarget;
}

async function writeImage(
  context: SourceContext,
  { domain, guest, target, job }: Parts & { readonly job: FileJob },
  {
    xml,
    wasRunning,
    state,
    format = 'raw',
    bandwidthMibPerSec,
  }: SaveWish & { readonly xml: string; readonly wasRunning: boolean },
): Promise<void> {
  const { faults } = context;
  await guest.update({ file: { t: 'saving', ...target.identity, wasRunning } });
  await faults('V1');
  if (wasRunning) {
    await guest.qmp.execute('stop', {});
    await domain.setState({ state: 'paused', reason: 'save' });
  } else await guest.activateDisks();
  await faults('V2');
  const head = { xml, format, wasRunning: state === undefined ? wasRunning : state === 'running' };
  await writing(target, () => writeHead(target.file, head));
  await memoryToFile(context, guest, {
    fd: target.file.fd,
    format,
    bandwidthBytesPerSec: bandwidthMibPerSec === undefined ? null : bandwidthMibPerSec * 1_048_576,
    signal: job.signal,
    onProgress: job.report,
  });
  await faults('V3');
  await writing(target, () => markComplete(target.file));
  await faults('V4');
  job.signal.throwIfAborted();
  await writing(target, () => target.commit());
  await faults('V5');
}

/** What the file system does not take is the failure of the save. */
async function writing<T>({ path }: ImageTarget, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (cause instanceof VmferryError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new VmferryError('save-failed', `${path} could not be written: ${reason}.`, { cause, data: { path } });
  }
}

/** The guest goes on where it is, and nothing of the save is left. What fails of that too is kept beside the first error. */
async function stay(
  context: SourceContext,
  { domain, guest, target }: Parts,
  wasRunning: boolean,
  error: VmferryError,
): Promise<VmferryError> {
  const also = (later: unknown) => error.suppress(later, context.clock.wall());
  // An image that has taken its place and could not be made durable there: of a guest that goes on it would be a second copy.
  if (await isCommitted(target.identity).catch(() => false)) await target.revoke().catch(also);
  await target.discard().catch(also);
  if (guest.alive) await goOn(context, domain, guest, wasRunning).catch(also);
  return error;
}
