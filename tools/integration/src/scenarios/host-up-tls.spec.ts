import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RelayClient, SourceAgentClient } from '@vmferry/client';
import { bootSectorGuest, domainXmlOf, listenForTicks } from '@vmferry/guest-image';
import { TlsIdentity } from '@vmferry/tls';
import { TestAuthority } from '@vmferry/tls/testing';
import { expect, it, onTestFinished } from 'vitest';
import { expectAuditComplete } from '../checks/audit-complete.js';
import { hostUp } from '../world/host-up.js';

const tickDeadlineMs = 20_000;

it('two hosts of `vmferry host up` with certificates: a guest goes through the tunnel, over TLS, and ticks on', async () => {
  const authority = new TestAuthority();
  const folder = await mkdtemp(join(tmpdir(), 'vfh-'));
  onTestFinished(async () => {
    authority.remove();
    await rm(folder, { recursive: true });
  });
  await chmod(folder, 0o711);
  const tls = authority.issue(['relay', 'agent']);
  const a = await hostUp({ folder, name: 'host-a', portBase: 23_180, tls });
  const b = await hostUp({ folder, name: 'host-b', portBase: 23_190, tls });
  const ticks = await listenForTicks(join(folder, 'serial'));
  const [source, destination] = [new SourceAgentClient(a.source), new SourceAgentClient(b.source)];
  const name = 'guest';
  try {
    const diskPath = await (await bootSectorGuest({ writable: true })).copyFor(folder);
    const serial = { type: 'unix-connect', path: join(folder, 'serial') } as const;
    await source.createDomain({ xml: domainXmlOf({ name, uuid: randomUUID(), diskPath, serial }), transient: true });
    await ticks.waitForTick(() => true, tickDeadlineMs);
    const { id } = await source.migrate({ domain: name, destination: b.destination, flags: ['LIVE', 'TUNNELLED'] });
    const ends: string[] = [];
    for await (const { state, finishedAt } of source.watch(id)) if (finishedAt !== null) ends.push(state);
    expect(ends.at(-1)).toBe('SUCCEEDED');
    const before = ticks.ticks.length;
    await ticks.waitForTick(() => ticks.ticks.length > before + 5, tickDeadlineMs);
    for (const { relay } of [a, b]) {
      const shown = new TlsIdentity(tls);
      const { streams } = await new RelayClient(relay, { tls: shown }).streams();
      expect(streams.map(({ state, path }) => [state, path])).toEqual([['closed', 'tls']]);
    }
  } finally {
    for (const host of [source, destination]) await host.destroy(name).catch(() => undefined);
    expect([await a.stop(), await b.stop()]).toEqual([0, 0]);
    await ticks.close();
    await expectAuditComplete(['host-a', 'host-b'].map((host) => join(folder, host)));
  }
});
