// The Debian packages that vmferry runs on or is built with. Root gets them installed; anyone else gets the one command to run.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../packages.mjs';
import { say, stop } from './say.mjs';

const packages = [
  'qemu-system-x86', // the hypervisor
  'qemu-utils', // qemu-img
  'g++', // libxmljs2 is compiled; with it come as, ld and libc.a for the guests
  'make',
  'python3', // node-gyp
  'busybox-static', // the Linux guest
  'cpio', // its initrd
  'xz-utils', // kernel modules of Debian 13, and save images
  'bzip2', // save images, as the next two
  'lzop',
  'zstd',
  'iproute2', // network devices of guests, and namespaces of the tests
  'openssl', // certificates of the tests
  'apparmor', // apparmor_parser, which reads our profiles in the tests
  'gir1.2-spiceclientglib-2.0', // a client of SPICE displays, in the tests
  'python3-gi', // which is a script
  ...spiceOfQemu(),
  'sanlock', // leases of the driver sanlock, in the tests
  'libvirt-clients', // virsh, which reads our save images and writes some, in the tests
  'libvirt-daemon', // what its QEMU driver writes a file with; no service comes with it
  'libvirt-daemon-driver-qemu',
  'etcd-server', // leases of the driver etcd, in the tests
];

/** The Linux guest's kernel is downloaded, never installed; apt must know it. */
const kernelPackage = 'linux-image-cloud-amd64';

export function ensureDebianPackages() {
  const missing = missingPackages();
  const kernel = kernelIsKnown();
  if (missing.length === 0 && kernel) return;
  const commands = [
    'apt-get update',
    ...(missing.length === 0 ? [] : [`apt-get install -y --no-install-recommends ${missing.join(' ')}`]),
  ];
  if (process.getuid() !== 0) {
    const why = missing.length === 0 ? "apt's package lists are empty" : 'Debian packages are missing';
    stop(`${why}. Run this once, then the same command again:\n\n    sudo sh -c '${commands.join(' && ')}'\n`);
  }
  for (const command of commands) runApt(command);
  const still = missingPackages();
  if (still.length > 0) stop(`apt-get ended well, but these packages are still not installed: ${still.join(', ')}.`);
}

/** SPICE is a part of Debian 12's QEMU, and a package of its own since 13; unreleased ones have no number. */
function spiceOfQemu() {
  const [, version = '13'] = /^VERSION_ID="?(\d+)/m.exec(readFileSync('/etc/os-release', 'utf8')) ?? [];
  return Number(version) < 13 ? [] : ['qemu-system-modules-spice'];
}

function missingPackages() {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the format is dpkg's.
  const format = '${Package} ${db:Status-Status}\\n';
  const query = spawnSync('dpkg-query', ['-W', '-f', format, ...packages], { encoding: 'utf8' });
  if (query.error !== undefined) {
    stop(`this is not a Debian system (dpkg-query: ${query.error.message}). vmferry runs on Debian 12 or later, amd64.`);
  }
  const installed = new Set(
    query.stdout.split('\n').flatMap((line) => (line.endsWith(' installed') ? [line.split(' ')[0]] : [])),
  );
  return packages.filter((name) => !installed.has(name));
}

/** A kernel that was already unpacked needs no package list. */
function kernelIsKnown() {
  const guests = join(root, '.guests');
  if (existsSync(guests) && readdirSync(guests).some((name) => name.startsWith('kernel-'))) return true;
  return spawnSync('apt-cache', ['show', kernelPackage], { stdio: 'ignore' }).status === 0;
}

function runApt(command) {
  say(command);
  const [name, ...args] = command.split(' ');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const { status } = spawnSync(name, ['-q', ...args], { stdio: ['ignore', process.stderr.fd, process.stderr.fd], env });
  if (status !== 0) stop(`'${command}' failed; its own words are above.`);
}
