import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { VmferryError } from '@vmferry/errors';
import type { AuditSink } from './auditor.js';
import { type ChainedRecord, type ChainLink, ChainReader, formatLine, genesis, tornRecord } from './chain.js';
import type { AuditRecord } from './records.js';

const TAIL_BYTES = 256 * 1024;
const QUEUE_MAX = 10_000;

interface Waiting {
  readonly at: Date;
  readonly records: readonly AuditRecord[];
  readonly done: () => void;
  readonly fail: (error: VmferryError) => void;
}

/**
 * Appends to one file, which one process at a time writes (the agent's lock of the state folder sees to it). A record is durable when
 * `append` resolves; those that arrive during a write share the next one. After an error the end of the file is looked at anew.
 */
export class AuditFile implements AuditSink {
  readonly #path: string;
  #queue: Waiting[] = [];
  #open: { readonly file: FileHandle; last: ChainLink } | null;
  #writing: Promise<void> | null = null;
  #closed = false;

  private constructor(path: string, opened: { file: FileHandle; last: ChainLink }) {
    this.#path = path;
    this.#open = opened;
  }

  /** Opens or makes the file, and marks what a crash has left half-written. Throws `state-unreadable`, `state-unwritable`. */
  static async open(path: string, now: Date): Promise<AuditFile> {
    return new AuditFile(path, await recover(path, now));
  }

  append(at: Date, records: readonly AuditRecord[]): Promise<void> {
    if (this.#closed) return Promise.reject(new VmferryError('internal', `The audit file ${this.#path} is closed.`));
    if (this.#queue.length >= QUEUE_MAX) {
      return Promise.reject(
        new VmferryError('state-unwritable', `${QUEUE_MAX} audit records wait for the disk of ${this.#path}.`),
      );
    }
    return new Promise((done, fail) => {
      this.#queue.push({ at, records, done, fail });
      this.#writing ??= this.#drain();
    });
  }

  async last(match: (line: string) => boolean): Promise<string | null> {
    await this.#writing;
    let last: string | null = null;
    for await (const line of createInterface({ input: createReadStream(this.#path) })) if (match(line)) last = line;
    return last;
  }

  /** Writes what waits, then closes the file. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    await this.#open?.file.close();
    this.#open = null;
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      await this.#write(batch);
    }
    this.#writing = null;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    try {
      this.#open ??= await recover(this.#path, batch[0]?.at ?? new Date(0));
      let { last } = this.#open;
      let text = '';
      const accepted: Waiting[] = [];
      for (const waiting of batch) {
        const formatted = formatAll(last, waiting);
        if (formatted === null) continue;
        ({ last } = formatted);
        text += formatted.text;
        accepted.push(waiting);
      }
      await this.#open.file.appendFile(text);
      await this.#open.file.datasync();
      this.#open.last = last;
      for (const { done } of accepted) done();
    } catch (error) {
      await this.#open?.file.close().catch(() => undefined);
      this.#open = null;
      for (const { fail } of batch) fail(VmferryError.is(error, 'state-unreadable') ? error : unwritable(this.#path, error));
    }
  }
}

/** The lines of one call; null when a record of it is refused, which its caller is told and nobody else. */
function formatAll(before: ChainLink, { at, records, fail }: Waiting): { text: string; last: ChainLink } | null {
  let last = before;
  let text = '';
  try {
    for (const record of records) {
      const { line, link } = formatLine(last, at, record);
      text += `${line}\n`;
      last = link;
    }
    return { text, last };
  } catch (error) {
    fail(VmferryError.from(error));
    return null;
  }
}

/** Opens the file at its last record. What stands behind it is kept and marked by a record of its own. */
async function recover(path: string, now: Date): Promise<{ file: FileHandle; last: ChainLink }> {
  const file = await openDurably(path);
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - TAIL_BYTES);
    const tail = await readFrom(file, start, size - start);
    const reader = new ChainReader(start === 0 ? genesis : null);
    const { rest } = pushLines(reader, start === 0 ? tail : tail.subarray(tail.indexOf(0x0a) + 1));
    if (rest.length > 0) reader.push(rest);
    const { last, torn } = reader;
    if (last === null)
      throw new VmferryError(
        'state-unreadable',
        `The end of ${path} holds no audit record. Move the file away and look into it.`,
      );
    const newline = rest.length > 0 ? '\n' : '';
    const mark = torn === null ? null : formatLine(last, now, tornRecord(torn));
    if (newline === '' && mark === null) return { file, last };
    await file.appendFile(mark === null ? newline : `${newline}${mark.line}\n`);
    await file.datasync();
    return { file, last: mark?.link ?? last };
  } catch (error) {
    await file.close();
    throw VmferryError.is(error, 'state-unreadable') ? error : unwritable(path, error);
  }
}

async function readFrom(file: FileHandle, start: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, start + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

async function openDurably(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, 'a+', 0o600);
    const folder = await open(dirname(path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
    return file;
  } catch (error) {
    throw unwritable(path, error);
  }
}

export interface VerifiedFile {
  readonly records: number;
  /** How often a crash has left half a record, which the chain covers. */
  readonly torn: number;
  /** Bytes of a half-written record at the very end, as of a crash, or of a write under way: the next record would mark them. */
  readonly tornEndBytes: number;
  readonly hash: string;
}

/** Follows the whole chain of a file, and tells `heard` each record. Throws `state-unreadable` where it is broken; half a record is borne at the end only. */
export async function verifyAuditFile(
  path: string,
  heard: (record: ChainedRecord) => void = () => undefined,
): Promise<VerifiedFile> {
  const reader = new ChainReader(genesis);
  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of createReadStream(path)) ({ rest } = pushLines(reader, Buffer.concat([rest, chunk as Buffer]), heard));
  const wholeLine = reader.torn !== null;
  // A record may have lost nothing but its newline.
  const unended = rest.length > 0 ? reader.push(rest) : null;
  if (unended !== null) heard(unended);
  const { last, torn, tornCount } = reader;
  if (wholeLine && torn !== null) {
    throw new VmferryError('state-unreadable', `What stands in ${path} behind audit record ${last?.seq ?? 0} is no record.`, {
      data: { path },
    });
  }
  const { seq, hash } = last ?? genesis;
  return { records: seq, torn: tornCount, tornEndBytes: torn?.length ?? 0, hash };
}

/** Gives every whole line to the reader; what follows the last newline is the rest. */
function pushLines(
  reader: ChainReader,
  bytes: Uint8Array,
  heard: (record: ChainedRecord) => void = () => undefined,
): { rest: Uint8Array } {
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
    const record = reader.push(bytes.subarray(start, end));
    if (record !== null) heard(record);
    start = end + 1;
  }
  return { rest: bytes.subarray(start) };
}

function unwritable(path: string, error: unknown): VmferryError {
  if (VmferryError.is(error, 'state-unwritable')) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new VmferryError('state-unwritable', `The audit file ${path} cannot be written (${reason}).`, {
    cause: error,
    data: { path },
  });
}
