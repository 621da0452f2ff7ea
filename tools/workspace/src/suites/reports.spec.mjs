import { describe, expect, it } from 'vitest';
import { closingLine, sumOf } from './reports.mjs';

const file = (status, tests, message = '') => ({ name: 'a.spec.ts', status, message, assertionResults: tests });
const passed = { status: 'passed', fullName: 'one' };
const failed = { status: 'failed', fullName: 'two' };

function report(testResults, success, failedTests = 0) {
  return { success, numPassedTests: 1, numFailedTests: failedTests, numPendingTests: 0, numTodoTests: 0, testResults };
}

const good = report([file('passed', [passed])], true);

describe('the sum of the reports', () => {
  it('counts what ran', () => {
    expect(sumOf('unit', true, { a: good, b: good })).toEqual({ passed: 2, failed: 0, skipped: 0, reasons: [] });
    const bad = report([file('failed', [passed, failed])], false, 1);
    expect(sumOf('unit', false, { a: bad })).toMatchObject({ passed: 1, failed: 1, reasons: ['a: two'] });
  });

  it('says below the name of a test why it failed, so that the end of a log is enough', () => {
    const why = { ...failed, failureMessages: ['expected 1\nto be 2'] };
    const { reasons } = sumOf('unit', false, { a: report([file('failed', [why])], false, 1) });
    expect(reasons).toEqual(['a: two\n    expected 1\n    to be 2']);
  });

  it('counts a missing report as a failure', () => {
    expect(sumOf('unit', true, { a: good, b: undefined })).toMatchObject({ passed: 1, failed: 1 });
  });

  it('counts a spec that could not be imported, which has no failed test', () => {
    const broken = report([file('failed', [], 'Cannot find module'), file('passed', [passed])], false);
    expect(sumOf('unit', false, { a: broken })).toMatchObject({ passed: 1, failed: 1 });
  });

  it('counts an error outside any test, which no report shows', () => {
    expect(sumOf('unit', false, { a: good })).toMatchObject({ passed: 1, failed: 1 });
    expect(sumOf('unit', true, { a: report([file('passed', [passed])], false) })).toMatchObject({ failed: 1 });
  });
});

describe('the closing line', () => {
  it('names skipped tests only when there are any', () => {
    expect(closingLine({ passed: 3, failed: 0, skipped: 0 })).toBe('3 passed, 0 failed');
    expect(closingLine({ passed: 3, failed: 1, skipped: 2 })).toBe('3 passed, 1 failed, 2 skipped');
  });
});
