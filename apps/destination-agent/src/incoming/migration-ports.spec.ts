import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MigrationPorts, type MigrationPortsOptions } from './migration-ports.js';

const ports = (first: number, last: number, change: Partial<MigrationPortsOptions> = {}) =>
  new MigrationPorts({ range: { first, last }, address: '127.0.0.1', insecure: false, hostName: 'here', ...change });

/** A port of this machine that something else has. */
async function taken(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port; // A TCP server that listens has one.
}

describe('the migration ports of a host', () => {
  it('go round, each to one at a time, and come back', async () => {
    const range = ports(23_200, 23_202);
    const given = [await range.take(null), await range.take(null), await range.take(null)];
    expect(given).toEqual([23_200, 23_201, 23_202]);
    await expect(range.take(null)).rejects.toMatchObject({ code: 'port-busy', message: expect.stringMatching(/Each of the 3/) });
    range.giveBack(23_201);
    expect(await range.take(null)).toBe(23_201);
    range.giveBack(23_200);
    await expect(range.take(23_201)).rejects.toMatchObject({ code: 'port-busy', message: expect.stringMatching(/port 23201/) });
    expect(await range.take(23_200)).toBe(23_200);
  });

  it('64 at once are given, and no more', async () => {
    const range = ports(23_210, 23_273);
    const given = await Promise.all(Array.from({ length: 64 }, () => range.take(null)));
    expect(new Set(given).size).toBe(64);
    await expect(range.take(null)).rejects.toMatchObject({ code: 'port-busy' });
    for (const port of given) range.giveBack(port);
    await range.probe(null);
    expect(await range.take(given[5] ?? null), 'a probe keeps nothing').toBe(given[5]);
  });

  it('are those that nothing else has', async () => {
    const port = await taken();
    const range = ports(port, port);
    await expect(range.take(null)).rejects.toMatchObject({ code: 'port-busy' });
    await expect(range.probe(port)).rejects.toMatchObject({ code: 'port-busy' });
  });

  it('are of an address that the host has', async () => {
    await expect(ports(23_280, 23_281, { address: '192.0.2.1' }).take(null)).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/192\.0\.2\.1: .*EADDRNOTAVAIL/),
    });
  });

  it.each([
    [null, { range: null }, true, 'invalid-argument'],
    [49_151, {}, true, 'invalid-argument'],
    [49_216, {}, true, 'invalid-argument'],
    [49_152, {}, false, 'insecure-refused'],
    [null, {}, false, 'insecure-refused'],
    [49_215, {}, true, null],
    [null, { insecure: true }, false, null],
  ] as const)('threat 4: port %s, %j, TLS %s: %s', (port, change, tls, code) => {
    const check = () => ports(49_152, 49_215, change).refuseUnlessOffered(port, tls);
    if (code === null) expect(check).not.toThrow();
    else expect(check).toThrow(expect.objectContaining({ code }));
  });
});
