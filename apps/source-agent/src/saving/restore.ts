import type { FileHandle } from 'node:fs/promises';
import type { RestoreDomain } from '@vmferry/api';
import {
  checkSupported,
  checkTargetDefinition,
  type DomainDefinition,
  parseDomain,
  unplaceDisplay,
  withoutConnections,
} from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { auditedOf, type Guest, resourcesOf, startGuest } from '@vmferry/guest';
import { incomingFromFd, isLoaded, isTerminal, prepareForFile } from '@vmferry/hypervisor';
import { closeFd, pipe2 } from '@vmferry/posix';
import { type ReadImage, readImage, startCompressor } from '@vmferry/save-image';
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
    await context.faults('W1');
    await load(guest, open);
    await context.faults('W2');
    await context.locks.acquire(domain.uuid, resourcesOf(domain.uuid));
    await guestHost.network.goOnline(guest.definition);
    // Before the image may go and the guest runs, so that no record that cannot be written ends a guest of which this is all that is left.
    await auditor.domainStart(auditedOf(guest.definition, guest.status.process.pid, guestHost.security), 'restored', true);
    isAudited = true;
    await loaded();
    await guest.update({ file: null });
    await context.faults('W3');
  } catch (thrown) {
    const error = VmferryError.from(thrown);
    const also = (later: unknown) => error.suppress(later, clock.wall());
    if (!isAudited) await auditor.startFailed(auditedOf(definition, undefined, guestHost.security), 'restored').catch(also);
    await domain.end({ state: 'shutoff', reason: 'failed' }, isAudited ? 'failed' : null).catch(also);
    throw error;
  }
  context.departures.delete(domain.uuid);
  await run(context, domain, running);
}

/** The guest is whole in its QEMU. One that cannot be let run now stays there, paused, and is resumed by its user. */
async function run(context: SourceContext, domain: Domain, running: boolean): Promise<void> {
  const guest = domain.activeGuest();
  context.events.emit(domain, { event: 'started', detail: 'restored' });
  if (running) {
    await guest.qmp.execute('cont', {});
    await guest.update({ state: 'running', reason: 'restored' });
    await guest.announce().catch((error: unknown) => context.log.warn('the guest could not be announced', { error }));
    domain.takeAsTold();
  } else {
    await guest.update({ state: 'paused', reason: 'user' });
    context.events.emit(domain, { event: 'suspended', detail: 'paused' });
    domain.takeAsTold();
  }
}

/** What of it only one host decides, the ports of its display and what its interfaces are connected to, is decided here anew. */
async function startIncoming(
  { guestHost }: SourceContext,
  domain: Domain,
  definition: DomainDefinition,
  path: string,
): Promise<Guest> {
  const placed = await guestHost.displays.place(unplaceDisplay(withoutConnections(definition)));
  try {
    const guest = await startGuest(guestHost, {
      placed,
      incoming: true,
      persistent: domain.config !== null,
      state: { state: 'paused', reason: 'unknown' },
      migration: null,
      file: { t: 'restoring', path },
    });
    domain.attach(guest);
    return guest;
  } finally {
    placed.close();
  }
}

/** Has QEMU read the stream, by way of the program that decompresses it when it is compressed. */
async function load(guest: Guest, { path, file, image }: OpenImage): Promise<void> {
  await prepareForFile(guest.qmp);
  if (image.format === 'raw') return readFrom(guest, file.fd, path);
  const pipe = pipe2();
  const compressor = await startCompressor(image.format, { compress: false, stdin: file.fd, stdout: pipe.write })
    .catch((thrown: unknown) => {
      closeFd(pipe.read);
      throw thrown;
    })
    .finally(() => closeFd(pipe.write));
  try {
    await readFrom(guest, pipe.read, path, () => closeFd(pipe.read));
  } catch (thrown) {
    compressor.kill();
    throw thrown;
  }
  // QEMU has all that it needs; a program that complains of what is behind that has read an image that was damaged.
  await compressor.done;
}

async function readFrom(guest: Guest, fd: number, path: string, given: () => void = () => undefined): Promise<void> {
  const { qmp } = guest;
  const ended = qmp.waitFor('MIGRATION', ({ data }) => isTerminal(data.status));
  ended.catch(() => undefined);
  try {
    await incomingFromFd(qmp, guest.handed({ fd }, descriptorName)).finally(given);
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

/** Moves the offset of an open file on: there is no other way to it in Node than to read. */
async function skip(file: FileHandle, bytes: number): Promise<void> {
  const buffer = Buffer.alloc(Math.min(bytes, 65_536));
  for (let left = bytes; left > 0; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, left), null);
    if (bytesRead === 0) return;
    left -= bytesRead;
  }
}
