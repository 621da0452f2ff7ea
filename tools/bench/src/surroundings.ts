import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a figure is worth depends on the machine, so every table names it. */
export const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'an unknown CPU'}`;

/**
 * How the machine's TCP decides when to send. It is part of a tunnel's figures: one that paces, as bbr does, sets a timer for every
 * packet, which costs more on loopback than the packet itself.
 */
export function congestionControl(): string {
  return readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim();
}

/** Tables go to standard output, and what happens meanwhile to standard error. */
export const say = (line: string) => process.stdout.write(`${line}\n`);
export const tell = (line: string) => process.stderr.write(`${line}\n`);

export function load(): string {
  return loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');
}

/** A folder with a short path through which QEMU's own user can pass, removed at the end. */
export async function inFolder<R>(act: (folder: string) => Promise<R>): Promise<R> {
  const folder = await mkdtemp(join(tmpdir(), 'vb-'));
  await chmod(folder, 0o711);
  try {
    return await act(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
