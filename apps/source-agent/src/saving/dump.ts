import type { DumpDomain, Dumped } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { Guest } from '@vmferry/guest';
import type { SaveFormat } from '@vmferry/save-image';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import { asFileJob, type FileJob } from './file-job.js';
import { ImageTarget } from './image-target.js';
import { memoryToFile } from './memory-to-file.js';

const descriptorName = 'vmferry-dump';

/**
 * Writes the memory of a guest to a file for whoever looks for a fault in it, as an async job (virsh dump): as QEMU's migration stream, by the one engine (S54), or as an ELF core of
 * the memory alone. The guest stands still meanwhile, unless it is `live`; then it goes on, is ended as crashed, or reset. A file that has not come to its end is removed. Throws
 * `save-failed`, `save-cancelled`, `guest-gone`, `image-path-refused`.
 */
export async function dumpDomain(context: SourceContext, domain: Domain, wish: DumpDomain, principal: string): Promise<Dumped> {
  const { path, kind = 'migration', mode = 'pause' } = wish;
  return asFileJob(domain, 'dump', principal, async (job) => {
    const guest = domain.activeGuest();
    domain.refuseUndecided();
    const target = await ImageTarget.create(path, context.imageRoots, () => false);
    const wasRunning = domain.state.state === 'running';
    let format: SaveFormat;
    try {
      if (!wasRunning) await guest.activateDisks();
      else if (mode !== 'live') await standStill(domain, guest);
      format = kind === 'elf' ? await elfTo(context, guest, target, job) : await streamTo(context, guest, target, wish, job);
      await target.file.sync();
      await target.commit();
    } catch (thrown) {
      const error = VmferryError.from(thrown);
      const also = (later: unknown) => error.suppress(later, context.clock.wall());
      await target.discard().catch(also);
      if (guest.alive && wasRunning) await goOn(domain, guest).catch(also);
      throw error;
    }
    const { size } = await target.file.stat();
    await target.file.close();
    if (mode === 'crash') await domain.end({ state: 'shutoff', reason: 'crashed' }, 'crashed');
    else if (mode === 'reset') await guest.qmp.execute('system_reset', {});
    if (mode !== 'crash' && wasRunning) await goOn(domain, guest);
    return { path: target.path, kind, format, bytes: size };
  });
}

async function standStill(domain: Domain, guest: Guest): Promise<void> {
  await guest.qmp.execute('stop', {});
  await domain.setState({ state: 'paused', reason: 'dump' });
}

/** QEMU stands still after a stream that it has sent to its end, whatever the guest did before. */
async function goOn(domain: Domain, guest: Guest): Promise<void> {
  await guest.qmp.execute('cont', {});
  if (domain.state.state !== 'running') await domain.setState({ state: 'running', reason: 'unpaused' });
  await domain.reconcile();
}

/** A program that the host does not have is no reason to have no dump: it is told, and the stream is written as it is (A10). */
async function streamTo(
  context: SourceContext,
  guest: Guest,
  target: ImageTarget,
  { format = 'raw', bandwidthMibPerSec }: DumpDomain,
  job: FileJob,
): Promise<SaveFormat> {
  const o = {
    fd: target.file.fd,
    bandwidthBytesPerSec: bandwidthMibPerSec === undefined ? null : bandwidthMibPerSec * 1_048_576,
    signal: job.signal,
    onProgress: job.report,
  };
  try {
    await memoryToFile(context, guest, { ...o, format });
    return format;
  } catch (thrown) {
    if (format === 'raw' || !VmferryError.is(thrown, 'hypervisor-unsupported')) throw thrown;
    context.log.warn('the dump is not compressed', { domain: guest.definition.name, error: thrown });
    await memoryToFile(context, guest, { ...o, format: 'raw' });
    return 'raw';
  }
}

/** QEMU stops the guest by itself for it, and has no way to be told to break off. */
async function elfTo(context: SourceContext, guest: Guest, target: ImageTarget, job: FileJob): Promise<'raw'> {
  const { qmp } = guest;
  job.signal.throwIfAborted();
  const over = new AbortController();
  const ended = qmp.waitFor('DUMP_COMPLETED', undefined, { signal: over.signal });
  ended.catch(() => undefined);
  try {
    const handed = guest.handed({ fd: target.file.fd }, descriptorName);
    await handed.label(handed.fd);
    await qmp.execute('getfd', { fdname: handed.name }, { fd: handed.fd });
    await qmp.execute('dump-guest-memory', { paging: false, protocol: `fd:${handed.name}`, detach: true });
    const { result, error } = (await ended).data;
    if (result.status === 'completed') return 'raw';
    throw new VmferryError(
      'save-failed',
      `QEMU could not dump the memory of ${guest.definition.name}: ${error ?? result.status}.`,
    );
  } finally {
    over.abort();
    if (!qmp.closed)
      await qmp
        .execute('closefd', { fdname: descriptorName })
        // QEMU takes the descriptor out of its list when it uses it.
        .catch(() => undefined);
    context.log.debug('the dump has ended', { domain: guest.definition.name });
  }
}
