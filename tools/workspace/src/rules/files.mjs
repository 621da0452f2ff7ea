// Every file of the repository, without what git ignores. Not asked of git, so that an unpacked archive is checked too.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../packages.mjs';

const made = new Set(['.git', 'node_modules', 'dist', '.turbo', '.reports', '.guests', 'coverage']);

/** @returns {string[]} paths relative to the root */
export function repositoryFiles(folder = '') {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (made.has(entry.name)) return [];
    if (entry.isDirectory()) return repositoryFiles(path);
    return entry.isFile() ? [path] : [];
  });
}

export function textOf(path) {
  return readFileSync(join(root, path), 'utf8');
}
