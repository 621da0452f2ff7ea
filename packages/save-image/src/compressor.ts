import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { VmferryError } from '@vmferry/errors';
import type { SaveFormat } from './format.js';

export type CompressedFormat = Exclude<SaveFormat, 'raw'>;

/** What a program that has failed says at most, of its last words. */
const stderrBytesMax = 2_048;
const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Compressor {
  readonly pid: number;
  /** Resolves when it has ended well. Rejects with `save-failed`, and says what it said, when it has not (S52). */
  readonly done: Promise<void>;
  kill(): void;
}

/**
 * Spawns the program of a format between two descriptors: `prog -c` from a pipe to a file, or `prog -dc` the other way. Without a shell, so that nothing in a path
 * is ever read as a command (S52). The descriptors stay the caller's to close. Throws `hypervisor-unsupported` when the host does not have the program.
 */
export async function startCompressor(
  format: CompressedFormat,
  { compress, stdin, stdout }: { readonly compress: boolean; readonly stdin: number; readonly stdout: number },
): Promise<Compressor> {
  const child = spawn(format, [compress ? '-c' : '-dc'], {
    stdio: [stdin, stdout, 'pipe'],
    env: { PATH: searchPath, LC_ALL: 'C' },
    // The terminal's Ctrl-C ends the command that asked, and never a program in the middle of an image.
    detached: true,
  });
  const said = lastWords(child);
  const done = ended(child, format, said);
  done.catch(() => undefined);
  await once(child, 'spawn').catch((cause: unknown) => {
    throw new VmferryError('hypervisor-unsupported', `This host has no ${format}: install it, or choose another compression.`, {
      cause,
      data: { format },
    });
  });
  return { pid: child.pid ?? 0, done, kill: () => void child.kill('SIGKILL') };
}

async function ended(child: ChildProcess, format: string, said: () => string): Promise<void> {
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  if (code === 0) return;
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
  throw new VmferryError('save-failed', `The program ${format} ended ${how}.${said()}`, { data: { format } });
}

function lastWords({ stderr }: ChildProcess): () => string {
  let words = Buffer.alloc(0);
  stderr?.on('data', (chunk: Buffer) => {
    words = Buffer.concat([words, chunk]).subarray(-stderrBytesMax);
  });
  return () => (words.length === 0 ? '' : ` It said: ${words.toString('utf8').trim()}`);
}
