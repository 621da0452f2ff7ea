import { existsSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { root, workspacePackages } from '../packages.mjs';
import { textOf } from './files.mjs';

/** Every room is Apache-2.0, pins exact versions, has its layer, and builds after exactly the rooms that it depends on. */
export function manifestsRule() {
  const rooms = workspacePackages();
  const folderOf = Object.fromEntries(rooms.map(({ folder, manifest }) => [manifest.name, folder]));
  const layers = references('.');
  return rooms.flatMap(({ folder, manifest }) => {
    const faults = [];
    const dependencies = { ...manifest.dependencies, ...manifest.devDependencies };
    if (manifest.license !== 'Apache-2.0') faults.push(`${folder}/package.json: the license is Apache-2.0`);
    // The one room of plain JavaScript is there before there is a compiler.
    const compiled = existsSync(join(root, folder, 'tsconfig.json'));
    if (compiled && !layers.includes(folder)) faults.push(`tsconfig.json: ${folder} is missing among the references`);
    for (const [name, version] of Object.entries(dependencies)) {
      if (!/^(?:\d+\.\d+\.\d+|workspace:\*)$/.test(version))
        faults.push(`${folder}/package.json: ${name} is pinned, not '${version}'`);
    }
    const wanted = Object.keys(dependencies).flatMap((name) => folderOf[name] ?? []);
    const given = compiled ? references(folder) : [];
    for (const room of wanted.filter((room) => !given.includes(room))) faults.push(`${folder}/tsconfig.json: refer to ${room}`);
    for (const room of given.filter((room) => !wanted.includes(room)))
      faults.push(`${folder}/tsconfig.json: ${room} is not a dependency`);
    return faults;
  });
}

/** The folders that a tsconfig.json refers to, relative to the root. */
function references(folder) {
  const { references: listed = [] } = JSON.parse(textOf(join(folder, 'tsconfig.json')));
  return listed.map(({ path }) => normalize(join(folder, path)));
}
