// The workspace's dependencies: installed from the lock file when it or the Node ABI has changed, and looked at every time.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root, workspacePackages } from '../packages.mjs';
import { say, stop } from './say.mjs';

const binaries = join(root, 'node_modules/.bin');
const stampFile = join(root, 'node_modules/.vmferry-set-up');

/** The environment of everything that runs in the workspace. turbo needs pnpm in PATH by its absolute folder. */
export const workspaceEnvironment = {
  ...process.env,
  CI: 'true',
  PATH: [binaries, dirname(process.execPath), process.env.PATH].join(':'),
  TURBO_TELEMETRY_DISABLED: '1',
  TURBO_NO_UPDATE_NOTIFIER: '1',
};

export function ensureNodeModules() {
  const stamp = wantedStamp();
  const stampedAs = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : '';
  if (stampedAs !== stamp || absentDependencies().length > 0) install();
  if (!importsWork()) rebuild();
  const absent = absentDependencies();
  if (absent.length > 0) stop(`pnpm said that it was done, but these dependencies are not there: ${absent.join(', ')}.`);
  writeFileSync(stampFile, stamp);
}

/** What decides which files belong into node_modules: the lock file, the manifests, and the ABI that native code was built for. */
function wantedStamp() {
  const hash = createHash('sha256');
  const manifests = workspacePackages().map(({ folder }) => `${folder}/package.json`);
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', ...manifests])
    hash.update(readFileSync(join(root, file)));
  return `${hash.digest('hex')} abi ${process.versions.modules}\n`;
}

function absentDependencies() {
  const all = [{ folder: '.', manifest: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) }, ...workspacePackages()];
  return all.flatMap(({ folder, manifest }) =>
    Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })
      .filter((name) => !existsSync(join(root, folder, 'node_modules', name, 'package.json')))
      .map((name) => `${folder}: ${name}`),
  );
}

function install() {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  say(`installing the dependencies with ${packageManager}`);
  run('npx', ['-y', '--loglevel=error', packageManager, 'install', '--frozen-lockfile']);
}

/** libxmljs2 and koffi are native: after a change of Node the files are there and the import still fails. */
function importsWork() {
  return [
    ['packages/xml', 'libxmljs2'],
    ['packages/posix', 'koffi'],
  ].every(([folder, name]) => {
    const probe = spawnSync(process.execPath, ['--input-type=module', '-e', `await import('${name}')`], {
      cwd: join(root, folder),
    });
    return probe.status === 0;
  });
}

function rebuild() {
  say(`building libxmljs2 for Node ${process.version}`);
  run(join(binaries, 'pnpm'), ['rebuild', '-r', 'libxmljs2']);
  if (!importsWork())
    stop('libxmljs2 or koffi cannot be loaded even after a rebuild: remove node_modules and run the command again.');
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
    env: { ...workspaceEnvironment, ...nativeBuild() },
  });
  if (status !== 0)
    stop(`'${[command, ...args].join(' ')}' failed${error === undefined ? '; its own words are above' : `: ${error.message}`}.`);
}

/** From source, with the headers that came with this Node when they did, so that no download of headers is needed. */
function nativeBuild() {
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include/node/node.h')) ? { npm_config_nodedir: prefix } : {};
  return { npm_config_build_from_source: 'libxmljs2', ...headers };
}
