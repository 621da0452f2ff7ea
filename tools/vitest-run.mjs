// Runs one suite of the package in whose folder it is started: `node ../../tools/vitest-run.mjs unit`.
// The report goes to .reports/ of the root, where tools/run.mjs sums it.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { root } from './workspace/src/packages.mjs';
import { reportPath, reportsFolder } from './workspace/src/suites/reports.mjs';

const endingsOf = { unit: ['.spec.ts', '.spec.mjs'], integration: ['.spec.ts'], 'fault-sweep': ['.sweep.ts'] };

/** Packages without a spec of their own: what they do is proved by running them, in the integration suite. */
const withoutSpecs = { unit: ['lab'], integration: [], 'fault-sweep': [] };

const suite = process.argv[2] ?? '';
const endings = Object.hasOwn(endingsOf, suite) ? endingsOf[suite] : undefined;
if (endings === undefined) {
  console.error(`vitest-run: the suite is one of ${Object.keys(endingsOf).join(', ')}, not '${suite}'.`);
  process.exit(64);
}
const name = basename(process.cwd());
const report = reportPath(suite, name);
mkdirSync(reportsFolder, { recursive: true });
rmSync(report, { force: true });

const specs = readdirSync('src', { recursive: true }).filter((path) => endings.some((ending) => path.endsWith(ending)));
if (specs.length === 0) {
  if (!withoutSpecs[suite].includes(name)) {
    console.error(
      `${name}: no file src/**/*${endings.join('|')}. A package with code has specs; one that cannot is listed in tools/vitest-run.mjs.`,
    );
    process.exit(1);
  }
  console.log(`${name}: has no ${suite} specs, as listed in tools/vitest-run.mjs.`);
  const nothing = { success: true, numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [] };
  writeFileSync(report, JSON.stringify(nothing));
  process.exit(0);
}

const arguments_ = ['run', '--config', join(root, 'vitest.config.mjs'), '--root', process.cwd()];
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
const { status, signal } = spawnSync(
  join(root, 'node_modules/.bin/vitest'),
  [...arguments_, ...reporters, ...process.argv.slice(3)],
  {
    stdio: 'inherit',
    // In CI vitest colours what it prints into a log file too.
    env: { ...process.env, VMFERRY_SUITE: suite, ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }) },
  },
);
if (signal !== null) console.error(`${name}: vitest was ended by ${signal}.`);
process.exit(status ?? 1);
