// The packages of this workspace as the suites and the checks see them: every folder with a package.json under the three roots.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** @returns {{ name: string, folder: string, manifest: Record<string, any> }[]} sorted by folder; `folder` is relative to the root. */
export function workspacePackages() {
  return ['packages', 'apps', 'tools']
    .flatMap((parent) => readdirSync(join(root, parent)).map((child) => `${parent}/${child}`))
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .sort()
    .map((folder) => {
      const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
      return { name: manifest.name.replace('@vmferry/', ''), folder, manifest };
    });
}
