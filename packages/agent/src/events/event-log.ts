import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { type LifecycleEventDocument, lifecycleEvent } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';

/** Events in one file; the file before it is kept too, so that at least this many can be told again. */
const eventsPerFileMax = 10_000;
const lineBytesMax = 2_048;
const fileBytesMax = eventsPerFileMax * lineBytesMax;

/** Told of what cannot be read in a file; it stays there until the file is rotated out. */
type Report = (fault: { readonly path: string; readonly lines: number }) => void;

interface OpenFile {
  readonly fd: number;
  /** Where the next line goes: what stands behind it was never told. */
  bytes: number;
  events: number;
}

/**
 * The lifecycle events of one agent on disk: `PATH`, a line for each, and `PATH.old`, the file before it. One process at a time writes it.
 *
 * An event is in the kernel's hands when `append` returns, so that kill -9 of the agent loses none that was told. It is not forced to the
 * disk: that is a wait of milliseconds in the stop of a guest that moves, for a notice. After a power cut the last ones may be missing;
 * what happened stands in status documents, records and audit, which are forced.
 */
export class EventLog {
  readonly #path: string;
  readonly #kept: LifecycleEventDocument[];
  #file: OpenFile | null;

  private constructor(path: string, kept: LifecycleEventDocument[], file: OpenFile) {
    this.#path = path;
    this.#kept = kept;
    this.#file = file;
  }

  /** Reads what is kept, and cuts off a last line that was torn. Throws `state-unwritable` when there is no reading or writing it. */
  static open(path: string, report: Report): EventLog {
    try {
      const kept: LifecycleEventDocument[] = [];
      if (existsSync(old(path))) {
        const before = openSync(old(path), 'r');
        try {
          readEvents(old(path), before, kept, report);
        } finally {
          closeSync(before);
        }
      }
      const fd = openSync(path, 'a+', 0o600);
      const { bytes, events } = readEvents(path, fd, kept, report);
      if (fstatSync(fd).size > bytes) ftruncateSync(fd, bytes);
      return new EventLog(path, kept.slice(-eventsPerFileMax), { fd, bytes, events });
    } catch (cause) {
      throw new VmferryError(
        'state-unwritable',
        `The events in ${path} cannot be kept: ${String(cause)}. Mend or move the file.`,
        {
          cause,
          data: { path },
        },
      );
    }
  }

  /** The last 10,000 events, in their order. */
  get kept(): readonly LifecycleEventDocument[] {
    return this.#kept;
  }

  /** Throws when the event cannot be written whole: then it is as if it had never been. */
  append(event: LifecycleEventDocument): void {
    const line = Buffer.from(`${JSON.stringify(event)}\n`);
    if (line.length > lineBytesMax) throw new Error(`the event has ${line.length} bytes, at most ${lineBytesMax} are kept`);
    const file = this.#writable();
    let done = 0;
    try {
      while (done < line.length) done += writeSync(file.fd, line, done);
    } catch (error) {
      if (done > 0) ftruncateSync(file.fd, file.bytes);
      throw error;
    }
    file.bytes += line.length;
    file.events += 1;
    this.#kept.push(event);
    if (this.#kept.length > eventsPerFileMax) this.#kept.shift();
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file.fd);
    this.#file = null;
  }

  #writable(): OpenFile {
    if (this.#file !== null && this.#file.events >= eventsPerFileMax) {
      renameSync(this.#path, old(this.#path));
      this.close();
    }
    this.#file ??= { fd: openSync(this.#path, 'a+', 0o600), bytes: 0, events: 0 };
    return this.#file;
  }
}

const old = (path: string): string => `${path}.old`;

/** Adds the events of a file to `kept`; what is left out is no event, or does not follow the one before. */
function readEvents(
  path: string,
  fd: number,
  kept: LifecycleEventDocument[],
  report: Report,
): { readonly bytes: number; readonly events: number } {
  const { size } = fstatSync(fd);
  if (size > fileBytesMax) throw new Error(`it has ${size} bytes, at most ${fileBytesMax} are read`);
  const text = Buffer.alloc(size);
  for (let done = 0; done < size; ) {
    const read = readSync(fd, text, done, size - done, done);
    if (read === 0) break;
    done += read;
  }
  const bytes = text.lastIndexOf(0x0a) + 1;
  const lines = text.subarray(0, bytes).toString().split('\n').slice(0, -1);
  let unreadable = 0;
  for (const line of lines) {
    const event = eventOf(line);
    if (event !== null && event.id > (kept.at(-1)?.id ?? 0)) kept.push(event);
    else unreadable += 1;
  }
  if (unreadable > 0) report({ path, lines: unreadable });
  return { bytes, events: lines.length };
}

function eventOf(line: string): LifecycleEventDocument | null {
  try {
    return lifecycleEvent.parse(JSON.parse(line));
  } catch {
    // Whatever is wrong with it, it is no event; the caller counts it.
    return null;
  }
}
