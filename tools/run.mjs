// The one entry of the workspace: `node tools/run.mjs test|check|demo|bench|fault-sweep`, from a fresh clone with Node and npm alone.
// It does its own set-up and skips what is already there. Plain JavaScript: nothing is installed when it starts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { root } from './workspace/src/packages.mjs';
import { ensureDebianPackages } from './workspace/src/setup/debian-packages.mjs';
import { ensureNodeModules, workspaceEnvironment } from './workspace/src/setup/node-modules.mjs';
import { checkNodeVersion } from './workspace/src/setup/node-version.mjs';
import { say, stop } from './workspace/src/setup/say.mjs';
import { closingLine, forgetReports, sumReports } from './workspace/src/suites/reports.mjs';

const commands = {
  test: (args) => test(args),
  check: (args) => run(process.execPath, ['tools/check.mjs', ...args]),
  demo: async (args) => (await build()) || run(process.execPath, ['tools/demo/dist/main.js', ...args]),
  bench: async (args) => (await build()) || run(process.execPath, ['tools/bench/dist/main.js', ...args]),
  'fault-sweep': async (args) => faultSweep(args),
};

/** Every named fault point with every kind in every mode; `--only S14`, `--only p2p-direct,kill` takes the cases that match each part. */
async function faultSweep(args) {
  const [flag, only, ...more] = args;
  if (args.length > 0 && (flag !== '--only' || only === undefined || more.length > 0))
    stop(`fault-sweep takes --only PART[,PART...], and was given '${args.join(' ')}'.`, 64);
  workspaceEnvironment.VMFERRY_SWEEP_ONLY = only ?? '';
  return (await build()) || closing([await suite('fault-sweep', 1)]);
}

/** Suites that measure or kill run alone; the unit suites use both cores of a small machine. */
const unitConcurrency = 2;

const passedOn = ['SIGINT', 'SIGTERM', 'SIGHUP'];

async function test(args) {
  if (args.length > 0)
    stop(`test takes no arguments, and was given '${args.join(' ')}'. One package: cd packages/xml && pnpm unit.`, 64);
  forgetReports();
  if ((await build()) !== 0) return closing([broken('the build failed')]);
  const check = (await run(process.execPath, ['tools/check.mjs'])) === 0 ? [] : [broken('pnpm check failed')];
  return closing([...check, await suite('unit', unitConcurrency), await suite('integration', 1)]);
}

function build() {
  return run('tsc', ['-b']);
}

async function suite(name, concurrency) {
  const turbo = ['run', name, '--continue=always', `--concurrency=${concurrency}`, '--ui=stream', '--output-logs=full'];
  return sumReports(name, (await run('turbo', turbo)) === 0);
}

function broken(reason) {
  return { passed: 0, failed: 1, skipped: 0, reasons: [reason] };
}

/** Prints what failed and then the closing line, alone and last. Nothing run is not success. */
function closing(sums) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const sum of sums) for (const key of Object.keys(total)) total[key] += sum[key];
  if (total.passed + total.failed === 0) total.failed = 1;
  process.stdout.write('\n');
  for (const reason of sums.flatMap(({ reasons }) => reasons)) process.stdout.write(`FAILED ${reason}\n`);
  process.stdout.write(`${closingLine(total)}\n`);
  return total.failed === 0 ? 0 : 1;
}

/**
 * Runs a command of the workspace and returns its exit code; ended by a signal it is 128 and the signal's number, as in a shell. A
 * signal to this process is the command's: it tidies up, and this process ends after it.
 */
async function run(command, args) {
  const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: workspaceEnvironment });
  const pass = (signal) => child.kill(signal);
  for (const signal of passedOn) process.on(signal, pass);
  try {
    const [status, signal] = await once(child, 'exit');
    return status ?? 128 + constants.signals[signal];
  } catch (error) {
    return stop(`'${command}' did not start: ${error.message}`);
  } finally {
    for (const signal of passedOn) process.off(signal, pass);
  }
}

const [name = '', ...args] = process.argv.slice(2);
const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
if (command === undefined) stop(`the command is one of ${Object.keys(commands).join(', ')}, not '${name}'.`, 64);
checkNodeVersion();
const startedAt = Date.now();
ensureDebianPackages();
ensureNodeModules();
say(`set-up ready in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
process.exitCode = await command(args);
