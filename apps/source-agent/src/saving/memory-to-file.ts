import { VmferryError } from '@vmferry/errors';
import type { Guest } from '@vmferry/guest';
import {
  cancelMigration,
  isTerminal,
  migrateToFd,
  migrationStatus,
  prepareForFile,
  withFileBandwidth,
} from '@vmferry/hypervisor';
import { closeFd, pipe2 } from '@vmferry/posix';
import { type Compressor, type SaveFormat, startCompressor } from '@vmferry/save-image';
import type { SourceContext } from '../context.js';
import type { FileJob } from './file-job.js';

const descriptorName = 'vmferry-file';
const pollMs = 100;
/** How long a program whose input has ended may take to its own end. */
const compressorEndMs = 10_000;

export interface ToFile {
  /** Open for writing, at the place where the stream goes. It stays the caller's to close. */
  readonly fd: number;
  readonly format: SaveFormat;
  /** As fast as it goes when null. */
  readonly bandwidthBytesPerSec: number | null;
  /** Aborted with the error that is to be told when the guest is to stay. */
  readonly signal: AbortSignal;
  readonly onProgress: FileJob['report'];
}

/**
 * Sends the memory of a guest to a file: the one engine of save and dump (S54). QEMU gets the file itself by descriptor, or the end of a pipe to the program that
 * compresses, which is labelled first (S51). Resolves when QEMU and that program have both ended well. Throws `save-failed`, `guest-gone`, or the reason of the
 * signal; QEMU migrates nothing any more by then.
 */
export async function memoryToFile(context: SourceContext, guest: Guest, o: ToFile): Promise<void> {
  o.signal.throwIfAborted();
  await prepareForFile(guest.qmp);
  await withFileBandwidth(guest.qmp, o.bandwidthBytesPerSec, () =>
    o.format === 'raw' ? streamTo(context, guest, o.fd, o) : compressed(context, guest, o, o.format),
  );
}

async function compressed(context: SourceContext, guest: Guest, o: ToFile, format: Exclude<SaveFormat, 'raw'>): Promise<void> {
  const pipe = pipe2();
  let compressor: Compressor;
  try {
    compressor = await startCompressor(format, { compress: true, stdin: pipe.read, stdout: o.fd });
  } catch (thrown) {
    closeFd(pipe.write);
    throw thrown;
  } finally {
    closeFd(pipe.read);
  }
  // Ended first, it holds nothing of the cancel up (S38).
  const kill = () => compressor.kill();
  o.signal.addEventListener('abort', kill, { once: true });
  try {
    await streamTo(context, guest, pipe.write, o, () => closeFd(pipe.write));
    await compressor.done;
  } catch (thrown) {
    if (o.signal.aborted || VmferryError.is(thrown, 'guest-gone')) kill();
    throw await firstOf(context, thrown, compressor);
  } finally {
    o.signal.removeEventListener('abort', kill);
  }
}

/** A program that has failed is what has broken QEMU's pipe: its word is the better one (S52). It ends by itself, for its pipe has ended. */
async function firstOf({ clock }: SourceContext, thrown: unknown, compressor: Compressor): Promise<unknown> {
  const timer = clock.after(compressorEndMs, () => compressor.kill());
  const ended = await compressor.done.then(
    () => thrown,
    (failure: unknown) => failure,
  );
  timer.cancel();
  return VmferryError.is(thrown, 'save-failed') ? ended : thrown;
}

/** `given` is called once QEMU has a copy of the descriptor, or will get none. */
async function streamTo(
  context: SourceContext,
  guest: Guest,
  fd: number,
  { signal, onProgress }: ToFile,
  given: () => void = () => undefined,
): Promise<void> {
  const { qmp } = guest;
  const over = new AbortController();
  const ended = qmp.waitFor('MIGRATION', ({ data }) => isTerminal(data.status), {
    signal: AbortSignal.any([signal, over.signal]),
  });
  ended.catch(() => undefined);
  try {
    await migrateToFd(qmp, guest.handed({ fd }, descriptorName)).finally(given);
    followProgress(context, guest, over.signal, onProgress);
    await ended;
  } catch (thrown) {
    // Its terminal status is waited for: until then QEMU writes to the file.
    if (!qmp.closed)
      await cancelMigration(qmp).catch((error: unknown) => context.log.warn('the save could not be cancelled', { error }));
    throw signal.aborted ? signal.reason : thrown;
  } finally {
    over.abort();
  }
  const { status, errorDesc } = await migrationStatus(qmp);
  if (status === 'completed') return;
  throw new VmferryError('save-failed', `QEMU could not write the memory of ${guest.definition.name}: ${errorDesc ?? status}.`);
}

function followProgress({ clock }: SourceContext, { qmp }: Guest, over: AbortSignal, tell: ToFile['onProgress']): void {
  const look = async () => {
    if (over.aborted) return;
    const status = await migrationStatus(qmp).catch(() => null);
    if (over.aborted) return;
    if (status?.ram !== undefined) {
      const { totalBytes, remainingBytes, transferredBytes: processedBytes } = status.ram;
      tell({ totalBytes, remainingBytes, processedBytes });
    }
    clock.after(pollMs, () => void look());
  };
  void look();
}
