import { repositoryFiles, textOf } from './files.mjs';

const rowCount = 58;
/** A test or suite whose name begins with row ids: `S46: ...`, or `S50, S56: ...` for one that proves several. */
const title = /\b(?:it|test|describe)(?:\.[^('"`]*(?:\([^)]*\))?)?\(\s*['"`]((?:S\d+(?:, |\/| and )?)+):/g;

/** Which rows of the requirements (S1 to S58) a test claims by the beginning of its name. A row that does not exist is a fault. */
export function readRows() {
  const filesOf = new Map(Array.from({ length: rowCount }, (_, index) => [`S${index + 1}`, new Set()]));
  const faults = [];
  for (const path of repositoryFiles().filter((file) => /\.(?:spec|sweep)\.(?:ts|mjs)$/.test(file))) {
    for (const [, ids = ''] of textOf(path).matchAll(title)) {
      for (const id of ids.match(/S\d+/g) ?? []) {
        if (filesOf.has(id)) filesOf.get(id).add(path);
        else faults.push(`${path}: there is no row ${id}`);
      }
    }
  }
  return { filesOf, faults };
}

/** Not a rule but a list: the rows whose tests are still missing. */
export function describeRows() {
  const { filesOf } = readRows();
  const missing = [...filesOf].flatMap(([id, files]) => (files.size === 0 ? [id] : []));
  return `${rowCount - missing.length} of ${rowCount} rows have a test${missing.length === 0 ? '' : `; without: ${missing.join(' ')}`}`;
}
