import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';

/** Reads a unix socket to its end, ends its own direction, and prints the digest of what came. */
const program = `
import { createHash } from 'node:crypto';
import net from 'node:net';
const digest = createHash('sha256');
const socket = net.connect({ path: process.argv[1], allowHalfOpen: true });
socket.on('connect', () => console.log('connected'));
socket.on('data', (bytes) => digest.update(bytes));
socket.on('end', () => socket.end(() => console.log(digest.digest('hex'))));
`;

export interface ReaderProcess {
  readonly child: ChildProcess;
  readonly digest: Promise<string>;
}

/** A QEMU that reads, in a process of its own that can be frozen; it is ended with the test. */
export async function readerProcess(path: string): Promise<ReaderProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface(child.stdout);
  await once(lines, 'line');
  return { child, digest: once(lines, 'line').then(([line]) => String(line)) };
}
