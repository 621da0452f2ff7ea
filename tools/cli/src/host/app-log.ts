import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { printable } from '../output/printable.js';

const logBytesMax = 16_777_216;
const lastWordsCharsMax = 400;

/** Opens an app's log for appending. One that has grown over 16 MiB is put aside as NAME.1 first. */
export function openLog(path: string): { readonly fd: number; close(): void } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let fd = openSync(path, 'a', 0o600);
  if (fstatSync(fd).size > logBytesMax) {
    closeSync(fd);
    renameSync(path, `${path}.1`);
    fd = openSync(path, 'a', 0o600);
  }
  return { fd, close: () => closeSync(fd) };
}

/** What an app said last before it ended: the error's detail when the line is JSON, else the line. */
export function lastWords(path: string): string {
  const line = read(path).trimEnd().split('\n').at(-1) ?? '';
  return printable(detailOf(line) ?? line).slice(0, lastWordsCharsMax) || 'it said nothing';
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    return `its log cannot be read: ${String(thrown)}`;
  }
}

function detailOf(line: string): string | null {
  try {
    const told = JSON.parse(line) as { message?: unknown; error?: { detail?: unknown } } | null;
    const detail = told?.error?.detail ?? told?.message;
    return typeof detail === 'string' ? detail : null;
  } catch {
    return null;
  }
}
