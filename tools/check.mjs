// `pnpm check`: everything that can be said about the code without running it. `pnpm check --fix` mends what can be mended.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './workspace/src/packages.mjs';
import { lockFileRule } from './workspace/src/rules/lock-file.mjs';
import { machinePathsRule } from './workspace/src/rules/machine-paths.mjs';
import { manifestsRule } from './workspace/src/rules/manifests.mjs';
import { describeRows, rowsRule } from './workspace/src/rules/rows.mjs';

const args = process.argv.slice(2);
const fix = args.length === 1 && args[0] === '--fix';
if (args.length > 0 && !fix) {
  console.error(`check: the only option is --fix, not '${args.join(' ')}'.`);
  process.exit(64);
}

const sources = ['packages', 'apps', 'tools'];

/** Each check returns its faults; a tool prints its own and returns one line. Types come first: the others read what they build. */
const checks = {
  types: () => tool('tsc', '-b'),
  'format and lint': () => tool('biome', 'check', '--error-on-warnings', ...(fix ? ['--write'] : []), '.'),
  'typed lint': () => tool('eslint', '--max-warnings=0', ...(fix ? ['--fix'] : []), ...sources),
  layers: () => tool('depcruise', '--config', '.dependency-cruiser.cjs', ...sources.map((folder) => `${folder}/*/src`)),
  'dead code': () => tool('knip'),
  manifests: manifestsRule,
  'lock file': lockFileRule,
  'machine paths': machinePathsRule,
  rows: rowsRule,
};

function tool(name, ...toolArgs) {
  const { status, error } = spawnSync(join(root, 'node_modules/.bin', name), toolArgs, { cwd: root, stdio: 'inherit' });
  if (error !== undefined) return [`${name} did not start: ${error.message}`];
  return status === 0 ? [] : [`${name} found faults, above`];
}

const failed = [];
for (const [name, check] of Object.entries(checks)) {
  const startedAt = performance.now();
  const faults = check();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  for (const fault of faults) console.log(`  ${fault}`);
  console.log(`${faults.length === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
  if (faults.length > 0) failed.push(name);
}
console.log(describeRows());
if (failed.length > 0) {
  console.log(`check: ${failed.join(', ')} failed.${fix ? '' : ' `pnpm check --fix` mends format and simple lint.'}`);
  process.exitCode = 1;
}
