// One configuration for every package; tools/vitest-run.mjs names the suite.
import { defineConfig } from 'vitest/config';

// Real processes take their time when two suites share two cores; a test that hangs still ends.
const suites = {
  unit: { include: ['src/**/*.spec.{ts,mjs}'], testTimeout: 30_000, hookTimeout: 60_000 },
  integration: { include: ['src/**/*.spec.ts'], testTimeout: 120_000, hookTimeout: 120_000 },
  'fault-sweep': { include: ['src/**/*.sweep.ts'], testTimeout: 120_000, hookTimeout: 120_000 },
};

export default defineConfig({
  test: {
    ...suites[process.env.VMFERRY_SUITE ?? 'unit'],
    // libxmljs2 cannot load in a second thread of a process.
    pool: 'forks',
    // The task runner runs packages side by side; within one package, one file after the other.
    maxWorkers: 1,
  },
});
