import { execFileSync, spawnSync } from 'node:child_process';
import { constants } from 'node:fs';
import { VmferryError } from '@vmferry/errors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeFd, openFile } from './descriptors.js';
import { mayAdministerNetwork } from './proc.js';
import { enterNetworkNamespace, openTap, tapName } from './tap.js';

const namespace = `vmferry-tap-${process.pid}`;

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' });
}

function errorOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (thrown) {
    return VmferryError.from(thrown).data.name;
  }
}

/** What this machine forbids is said by the name of the suite. */
const forbidden = mayAdministerNetwork() ? null : 'CAP_NET_ADMIN is missing';

describe.skipIf(forbidden !== null)(`tap devices${forbidden === null ? '' : `: SKIPPED, ${forbidden}`}`, () => {
  beforeAll(() => {
    ip('netns', 'add', namespace);
    // Where this process is from now on: what it makes is nowhere else.
    enterNetworkNamespace(`/run/netns/${namespace}`);
  });
  afterAll(() => {
    ip('netns', 'del', namespace);
  });

  it('a process that has entered a namespace of its own sees no device of the machine, and neither do its children', () => {
    expect(ip('-o', 'link').trim().split('\n')).toHaveLength(1);
  });

  it('one is made with its name, and is gone with its descriptor', () => {
    const fd = openTap('vt0', 'make');
    expect(tapName(fd)).toBe('vt0');
    expect(ip('-d', 'link', 'show', 'vt0')).toMatch(/tun type tap pi off vnet_hdr on persist off/);
    expect(errorOf(() => openTap('vt0', 'make'))).toBe('EBUSY');
    closeFd(fd);
    expect(spawnSync('ip', ['link', 'show', 'vt0']).status).toBe(1);
  });

  it('one that was made to stay is taken, and stays', () => {
    ip('tuntap', 'add', 'dev', 'vt1', 'mode', 'tap', 'vnet_hdr');
    expect(errorOf(() => openTap('vt1', 'make'))).toBe('EBUSY');
    const fd = openTap('vt1', 'take');
    expect(tapName(fd)).toBe('vt1');
    expect(errorOf(() => openTap('vt1', 'take'))).toBe('EBUSY');
    closeFd(fd);
    expect(ip('-d', 'link', 'show', 'vt1')).toMatch(/persist on/);
  });

  it('a descriptor of something else has no name', () => {
    const fd = openFile('/dev/null', constants.O_RDWR, 0);
    expect(tapName(fd)).toBeNull();
    closeFd(fd);
    expect(errorOf(() => tapName(-1))).toBe('EBADF');
  });
});
