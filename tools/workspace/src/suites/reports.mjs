// Where vitest's JSON reports lie, and how they are summed into one honest closing line.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, workspacePackages } from '../packages.mjs';

/** In lines. */
const longestReason = 30;

export const reportsFolder = join(root, '.reports');

/** One report for each package and suite, so that two suites of one package never overwrite each other. */
export function reportPath(suite, packageName) {
  return join(reportsFolder, `${suite}.${packageName}.json`);
}

/** An old report would count as passed: they are gone before a suite starts. */
export function forgetReports() {
  rmSync(reportsFolder, { recursive: true, force: true });
}

/** The sum of one suite over every package that has it. */
export function sumReports(suite, runnerSucceeded) {
  const names = workspacePackages().flatMap(({ name, manifest }) => (manifest.scripts?.[suite] === undefined ? [] : [name]));
  return sumOf(suite, runnerSucceeded, Object.fromEntries(names.map((name) => [name, readReport(suite, name)])));
}

/**
 * A missing report is a failure, and so is a file that failed without a failed test in it (a spec that could not be imported).
 * @param {string} suite
 * @param {boolean} runnerSucceeded whether the task runner ended with 0: a run that failed without a failed test (an unhandled
 *   rejection) counts one failure
 * @param {Record<string, object | undefined>} reports by package
 */
export function sumOf(suite, runnerSucceeded, reports) {
  const sum = { passed: 0, failed: 0, skipped: 0, reasons: [] };
  for (const [name, report] of Object.entries(reports)) {
    if (report === undefined) fail(sum, `${name}: no ${suite} report was written`);
    else addReport(sum, suite, name, report);
  }
  if (!runnerSucceeded && sum.failed === 0) fail(sum, `the ${suite} suite ended with an error outside any test`);
  return sum;
}

/** The closing line, which stands alone: `N passed, N failed` and, only when there are any, `, N skipped`. */
export function closingLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

function readReport(suite, name) {
  const path = reportPath(suite, name);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

function addReport(sum, suite, name, report) {
  const failedBefore = sum.failed;
  sum.passed += report.numPassedTests;
  sum.skipped += report.numPendingTests + report.numTodoTests;
  for (const file of report.testResults) {
    const failedTests = file.assertionResults.filter((test) => test.status === 'failed');
    for (const test of failedTests) fail(sum, `${name}: ${test.fullName}${whyOf(test)}`);
    if (file.status === 'failed' && failedTests.length === 0)
      fail(sum, `${name}: ${file.name} failed as a file: ${file.message}`);
  }
  if (!report.success && sum.failed === failedBefore) fail(sum, `${name}: the ${suite} run failed outside any test`);
}

/** Why a test failed, indented below its name: of a run on another machine the end of its output may be all that is kept. */
function whyOf({ failureMessages = [] }) {
  const lines = failureMessages.flatMap((message) => message.split('\n')).slice(0, longestReason);
  return lines.map((line) => `\n    ${line}`).join('');
}

function fail(sum, reason) {
  sum.failed += 1;
  sum.reasons.push(reason);
}
