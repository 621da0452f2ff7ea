import { repositoryFiles, textOf } from './files.mjs';

const rowCount = 58;
const range = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => `S${first + index}`);

/** The rows of the migration protocol: each has a test, or the check fails. */
const enforced = [
  ...['S1', 'S4', 'S5', 'S6', 'S8', 'S9', 'S10', 'S12', 'S16', 'S18', 'S19', 'S22'],
  ...range(24, 31),
  ...range(33, 41),
  ...['S43', ...range(46, 50), 'S55', 'S56', 'S58'],
];

/** Of the same, the rows whose tests are not there yet: only reported. */
const reported = ['S13', 'S14', 'S17', 'S20', 'S21', 'S23', 'S32', 'S42'];

/** A test or suite whose name begins with row ids: `S46: ...`, or `S50, S56: ...` for one that proves several. */
const title = /\b(?:it|test|describe)(?:\.[^('"`]*(?:\([^)]*\))?)?\(\s*['"`]((?:S\d+(?:, |\/| and )?)+):/g;

/** Which rows of the requirements (S1 to S58) a test claims by the beginning of its name. A row that does not exist is a fault. */
function readRows() {
  const filesOf = new Map(range(1, rowCount).map((id) => [id, new Set()]));
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

function missing() {
  return [...readRows().filesOf].flatMap(([id, files]) => (files.size === 0 ? [id] : []));
}

/** Every row of the migration protocol has a test whose name begins with its id. */
export function rowsRule() {
  const without = missing().filter((id) => enforced.includes(id));
  return [...readRows().faults, ...without.map((id) => `the row ${id} has no test: begin the name of one with its id`)];
}

/** The rows without a test, those of later work too. */
export function describeRows() {
  const without = missing();
  const told = without.map((id) => (reported.includes(id) ? `${id} (of the migration protocol)` : id));
  return `${rowCount - without.length} of ${rowCount} rows have a test${told.length === 0 ? '' : `; without: ${told.join(' ')}`}`;
}
