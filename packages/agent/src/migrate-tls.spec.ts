import { chmodSync, copyFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getuid } from 'node:process';
import { ManualClock } from '@vmferry/seams';
import { type QemuCertificates, qemuFolder, TestAuthority } from '@vmferry/tls/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { MigrateTls } from './migrate-tls.js';

const authority = new TestAuthority();
const other = new TestAuthority();
const made: string[] = [];
afterAll(() => {
  authority.remove();
  other.remove();
  for (const dir of made) rmSync(dirname(dir), { recursive: true });
});

const qemuUser = { uid: 65_534, gid: 65_534 };
const pair = () => authority.issue(['agent']);

function folder(change: Partial<QemuCertificates> = {}): string {
  const dir = qemuFolder({ ca: authority.ca, server: pair(), client: pair(), ...change }, qemuUser.gid);
  made.push(dir);
  return dir;
}

/** Today, so that certificates of today are valid. */
const clock = Object.assign(new ManualClock(), { wall: () => new Date() });
const tls = (dir: string | undefined, user: typeof qemuUser | null = qemuUser) =>
  new MigrateTls({ dir, qemuUser: user, hostName: 'here', clock });

describe.runIf(getuid?.() === 0)("QEMU's own certificates", () => {
  it('are told to QEMU by their folder, once they are found good', async () => {
    const dir = folder();
    expect(tls(dir).offered).toBe(true);
    expect(await tls(dir).credentials('server')).toEqual({ endpoint: 'server', dir });
    expect(await tls(dir).credentials('client', 'host-b')).toEqual({ endpoint: 'client', dir, hostName: 'host-b' });
    expect(await tls(dir, null).credentials('client')).toEqual({ endpoint: 'client', dir });
  });

  it.each<[string, () => string | undefined, RegExp]>([
    ['no folder', () => undefined, /--migrate-tls-dir/],
    ['a folder that is not there', () => '/nowhere/pki', /\/nowhere/],
    ['a relative path', () => 'pki', /absolute path/],
    ['no certificate for this end', () => without('client-cert.pem'), /client-cert\.pem/],
    ['no key', () => without('client-key.pem'), /client-key\.pem/],
    ['no CA', () => without('ca-cert.pem'), /ca-cert\.pem/],
    ['a key that QEMU may not read', () => closed('client-key.pem'), /chgrp 65534 .*client-key\.pem/],
    ['a folder that QEMU may not enter', () => closed('.'), /may not search/],
    ['a certificate that is over', () => folder({ client: authority.issue(['agent'], { days: -1 }) }), /was valid until/],
    ['a key of another certificate', () => mixed(), /is not that of/],
  ])('%s: tls-unavailable, with what is wrong', async (_what, make, reason) => {
    await expect(tls(make()).credentials('client')).rejects.toMatchObject({
      code: 'tls-unavailable',
      message: expect.stringMatching(reason),
    });
  });
});

function without(name: string): string {
  const dir = folder();
  rmSync(join(dir, name));
  return dir;
}

function closed(name: string): string {
  const dir = folder();
  chmodSync(join(dir, name), 0o600);
  return dir;
}

function mixed(): string {
  const dir = folder();
  copyFileSync(pair().key, join(dir, 'client-key.pem'));
  chmodSync(join(dir, 'client-key.pem'), 0o644);
  return dir;
}
