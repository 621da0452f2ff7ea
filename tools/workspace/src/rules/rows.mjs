import { repositoryFiles, textOf } from './files.mjs';

const rowCount = 58;
const range = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => `S${first + index}`);

/** A test or suite whose name begins with row ids: `S46: ...`, or `S50, S56: ...` for one that proves several. */
const title = /\b(?:it|test|describe)(?:\.[^('"`]*(?:\([^)]*\))?)?\(\s*['"`]((?:S\d+(?:, |\/| and )?)+):/g;

/** The rows of threats.md that a test proves by its name, `threat 7: ...`. Of 5, 12, 13, 15 and 20 none is asked for here. */
const threats = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 14, 16, 17, 18, 19];
const threatTitle = /['"`]threat (\d+): /g;

function threatsWithout() {
  const specs = repositoryFiles().filter((file) => /\.spec\.ts$/.test(file));
  const named = new Set(specs.flatMap((path) => [...textOf(path).matchAll(threatTitle)].map(([, row]) => Number(row))));
  return threats.filter((row) => !named.has(row));
}

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

/** Every row has a test whose name begins with its id. */
export function rowsRule() {
  return [
    ...readRows().faults,
    ...missing().map((id) => `the row ${id} has no test: begin the name of one with its id`),
    ...threatsWithout().map((row) => `the threat ${row} has no test: begin the name of one with "threat ${row}: "`),
  ];
}

/** How many rows have a test. */
export function describeRows() {
  const without = missing();
  return `${rowCount - without.length} of ${rowCount} rows have a test${without.length === 0 ? '' : `; without: ${without.join(' ')}`}`;
}
