import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { vmResource } from '@vmferry/locking';
import { EtcdServers } from '@vmferry/locking/testing';
import { systemClock } from '@vmferry/seams';
import type { TlsFiles } from '@vmferry/tls';
import { TestAuthority } from '@vmferry/tls/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentOptions, agentCommand } from './index.js';
import { openLocks } from './open-locks.js';

const vm = '11111111-2222-3333-4444-555555555555';
const resources = [vmResource(vm)];
const authority = new TestAuthority();
const stranger = new TestAuthority();

let servers: EtcdServers;
beforeAll(async () => {
  servers = await EtcdServers.start(1, authority.issue([]));
}, 60_000);
afterAll(async () => {
  await servers.close();
  authority.remove();
  stranger.remove();
});

/** The driver as an agent opens it, with this certificate. */
function open({ cert, key, ca }: TlsFiles) {
  const given = { cert, key, ca };
  const etcd = ['--etcd', ...servers.endpoints, ...Object.entries(given).flatMap(([name, path]) => [`--etcd-${name}`, path])];
  const options: AgentOptions = agentCommand('spec-agent', 'for a spec')
    .parse(['--state-dir', '/s', '--runtime-dir', '/r', '--lock-driver', 'etcd', ...etcd], { from: 'user' })
    .opts();
  const state = { identity: { hostUuid: 'h', hostName: 'h' }, folders: {} };
  return openLocks(options, state as unknown as Parameters<typeof openLocks>[1], systemClock);
}

/** A certificate at paths of its own, which is replaced there. */
function renewable() {
  const own = Object.fromEntries((['cert', 'key', 'ca'] as const).map((part) => [part, join(authority.folder, `own.${part}`)]));
  const files = own as unknown as TlsFiles;
  const renew = (by: TlsFiles) => {
    for (const part of ['cert', 'key', 'ca'] as const) copyFileSync(by[part], files[part]);
  };
  return { files, renew };
}

describe('threat 18: an etcd over TLS', () => {
  it('is spoken to with a certificate, and only with one that it accepts', async () => {
    const locks = await open(authority.issue([]));
    expect((await locks.acquire(vm, resources)).grants[0]?.epoch).toBe('1');
    const unknown = { ...stranger.issue([]), ca: authority.ca };
    const over = { ...authority.issue([], { days: -1 }), ca: authority.ca };
    for (const files of [unknown, over])
      await expect((await open(files)).inquire(vm, resources)).rejects.toMatchObject({ code: 'lease-unavailable' });
  });

  it('is not believed with a certificate of another CA', async () => {
    await expect((await open({ ...authority.issue([]), ca: stranger.ca })).acquire(vm, resources)).rejects.toMatchObject({
      code: 'lease-unavailable',
      message: expect.stringMatching(/certificate/) as unknown,
    });
  });

  it('is spoken to with the certificate that is on disk now, without a restart', async () => {
    const { files, renew } = renewable();
    renew(authority.issue([]));
    const locks = await open(files);
    const taken = await locks.acquire(vm, resources);
    await servers.kill(0);
    servers.useTls(stranger.issue([]));
    await servers.run(0);
    await expect(locks.inquire(vm, resources)).rejects.toMatchObject({ code: 'lease-unavailable' });
    renew(stranger.issue([]));
    expect(await locks.inquire(vm, resources)).toEqual({ state: taken, heldByMe: true });
  });
});
