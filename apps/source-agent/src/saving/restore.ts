import type { FileHandle } from 'node:fs/promises';
import type { RestoreDomain } from '@vmferry/api';
import { checkSupported, checkTargetDefinition, type DomainDefinition, parseDomain } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { auditedOf, type Guest, resourcesOf, startGuest } from '@vmferry/guest';
import { incomingFromFd, isLoaded, isTerminal, prepareForFile } from '@vmferry/hypervisor';
import { closeFd, pipe2 } from '@vmferry/posix';
import { type ReadImage, readImage, startCompressor } from '@vmferry/save-image';
import { labelledDomain } from '@vmferry/security-label';
import type { SourceContext } from '../context.js';
import { refuseIncoming } from '../domains/arriving.js';
import { refuseElsewhere } from '../domains/departures.js';
import type { Domain } from '../domains/domain.js';
import { openImage } from './image-target.js';

const descriptorName = 'vmferry-file';

/** An image that can be restored, open at its stream. */
export interface OpenImage {
  readonly path: string;
  readonly file: FileHandle;
  readonly image: ReadImage;
  readonly definition: DomainDefinition;
  /** Whether the guest is to run. */
  readonly running: boolean;
}

/**
 * Reads an image as far as its stream, and checks all that can be checked before anything is made: what it is, the type of its domain (S12), and that a changed
 * definition shows the guest the same machine (A11). Whoever gets it closes its file. Throws `image-path-refused`, `save-image-invalid`, `save-image-incomplete`,
 * `abi-mismatch` and what a definition that cannot be used throws.
 */
export async function openForRestore({ path: wanted, xml, state }: RestoreDomain, roots: readonly string[]): Promise<OpenImage> {
  const { path, file } = await openImage(wanted, roots);
  try {
    const image = await readImage(file, path);
    const saved = parseDomain(image.xml);
    const definition = xml === undefined ? saved : parseDomain(xml);
    if (xml !== undefined) checkTargetDefinition(saved, definition);
    checkSupported(definition);
    await skip(file, image.streamOffset);
    return { path, file, image, definition, running: state === undefined ? image.wasRunning : state === 'running' };
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}

/**
 * Starts a guest from its image: QEMU reads the memory, paused, and runs it only once all of it is there and the lease is held. `loaded` is called in between, when
 * the guest is in QEMU and has not run. When anything fails the guest has not run, nothing of it is left, and the image is as it was. Throws `save-image-invalid`
 * when QEMU cannot read the stream, and what a start throws.
 */
export async function reviveGuest(
  context: SourceContext,
  domain: Domain,
  open: OpenImage,
  loaded: () => Promise<void>,
): Promise<void> {
  const { guestHost, auditor, clock } = context;
  const { definition, running } = open;
  await refuseIncoming(context, domain);
  await refuseElsewhere(context, domain);
  let isAudited = false;
  try {
    const guest = await startIncoming(context, domain, definition, open.path);
    await load(context, guest, open);
    await context.locks.acquire(domain.uuid, resourcesOf(domain.uuid));
    // Before the image may go and the guest runs, so that no record that cannot be written ends a guest of which this is all that is left.
    await auditor.domainStart(auditedOf(definition, guest.status.process.pid), 'restored', true);
    isAudited = true;
    await loaded();
    await guest.update({ file: null, state: running ? 'running' : 'paused', reason: running ? 'restored' : 'user' });
    if (running) await guest.qmp.execute('cont', {});
    context.departures.delete(domain.uuid);
    tell(context, domain, running);
  } catch (thrown) {
    const error = VmferryError.from(thrown);
    const also = (later: unknown) => error.suppress(later, clock.wall());
    if (!isAudited) await auditor.startFailed(auditedOf(definition, undefined), 'restored').catch(also);
    if (domain.guest === null) await guestHost.security.restoreAll(labelledDomain(definition), { migrated: false }).catch(also);
    await domain.end({ state: 'shutoff', reason: 'failed' }, isAudited ? 'failed' : null).catch(also);
    throw error;
  }
}

async function startIncoming({ guestHost }: SourceContext, domain: Domain, definition: DomainDefinition, path: string): Promise<Guest> {
  const guest = await startGuest(guestHost, {
    definition,
    incoming: true,
    persistent: domain.config !== null,
    state: { state: 'paused', reason: 'unknown' },
    migration: null,
  });
  await guest.update({ file: { t: 'restoring', path } });
  domain.attach(guest);
  return guest;
}

/** Has QEMU read the stream, by way of the program that decompresses it when it is compressed. */
async function load(context: SourceContext, guest: Guest, { path, file, image }: OpenImage): Promise<void> {
  await prepareForFile(guest.qmp);
  if (image.format === 'raw') return readFrom(context, guest, file.fd, path);
  const pipe = pipe2();
  const compressor = await startCompressor(image.format, { compress: false, stdin: file.fd, stdout: pipe.write }).catch((thrown: unknown) => {
    closeFd(pipe.read);
    throw thrown;
  }).finally(() => closeFd(pipe.write));
  try {
    await readFrom(context, guest, pipe.read, path, () => closeFd(pipe.read));
  } catch (thrown) {
    compressor.kill();
    throw thrown;
  }
  // QEMU has all that it needs; a program that complains of what is behind that has read an image that was damaged.
  await compressor.done;
}

async function readFrom(context: SourceContext, guest: Guest, fd: number, path: string, given: () => void = () => undefined): Promise<void> {
  const { qmp } = guest;
  const ended = qmp.waitFor('MIGRATION', ({ data }) => isTerminal(data.status));
  ended.catch(() => undefined);
  try {
    await context.guestHost.security.labelImageFd(labelledDomain(guest.definition), fd);
    await incomingFromFd(qmp, fd, descriptorName).finally(given);
    await ended;
    if (await isLoaded(qmp)) return;
    throw new VmferryError('save-failed', 'QEMU has not loaded it');
  } catch (thrown) {
    const words = (await guest.logTail()).trim() || VmferryError.from(thrown).message;
    throw new VmferryError('save-image-invalid', `${path} cannot be restored: QEMU does not read its memory. It says: ${words}`, {
      cause: thrown,
      data: { path },
    });
  }
}

/** A guest that comes back paused is started and suspended, as libvirt tells it. */
function tell({ events }: SourceContext, domain: Domain, running: boolean): void {
  if (running) return domain.tell();
  events.emit(domain, { event: 'started', detail: 'restored' });
  events.emit(domain, { event: 'suspended', detail: 'paused' });
  domain.takeAsTold();
}

/** Moves the offset of an open file on: there is no other way to it in Node than to read. */
async function skip(file: FileHandle, bytes: number): Promise<void> {
  const buffer = Buffer.alloc(Math.min(bytes, 65_536));
  for (let left = bytes; left > 0; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, left), null);
    if (bytesRead === 0) return;
    left -= bytesRead;
  }
}
