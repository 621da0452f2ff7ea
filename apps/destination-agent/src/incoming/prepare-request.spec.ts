import { parseDomain } from '@vmferry/domain';
import { parseFlags } from '@vmferry/migration';
import { describe, expect, it } from 'vitest';
import type { DestinationContext } from '../context.js';
import { readFlags, refuseWithoutMultifd } from './prepare-request.js';

const definition = parseDomain(
  "<domain type='qemu'><name>web</name><uuid>6ba7b810-9dad-11d1-80b4-00c04fd430c8</uuid><memory unit='KiB'>4096</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>",
);

/** A host whose QEMU has these capabilities; nothing else of it is read. */
const contextWith = (...migrationCapabilities: string[]) =>
  ({
    relay: { baseUrl: 'http://127.0.0.1:7803' },
    host: { hostName: 'b' },
    guestHost: { capabilities: async () => ({ emulator: '/usr/bin/qemu-system-x86_64', migrationCapabilities }) },
  }) as unknown as DestinationContext;

const parallel = ['LIVE', 'TUNNELLED', 'PARALLEL'];

describe('PARALLEL at the destination', () => {
  it('is refused where QEMU has no multifd; a migration that is not parallel is not', async () => {
    const refused = expect.objectContaining({
      code: 'hypervisor-unsupported',
      message: expect.stringMatching(/of b has no multifd.*leave PARALLEL out/),
    });
    await expect(refuseWithoutMultifd(contextWith('events'), definition, parseFlags(parallel))).rejects.toEqual(refused);
    await expect(refuseWithoutMultifd(contextWith('multifd'), definition, parseFlags(parallel))).resolves.toBeUndefined();
    await expect(refuseWithoutMultifd(contextWith('events'), definition, parseFlags(['LIVE']))).resolves.toBeUndefined();
  });

  it('needs the tunnel, and a number of connections needs PARALLEL', () => {
    const read = (flags: string[], parallelConnections?: number) =>
      readFlags(
        contextWith(),
        { nonce: '0'.repeat(32), xml: '', flags, ...(parallelConnections === undefined ? {} : { parallelConnections }) },
        flags.includes('TUNNELLED') ? 'tunnelled' : 'direct',
      );
    expect([...read(parallel, 16)]).toEqual(parallel);
    expect(() => read(['LIVE', 'PARALLEL'])).toThrow(expect.objectContaining({ code: 'flag-unsupported' }));
    expect(() => read(['LIVE', 'TUNNELLED'], 2)).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
  });
});
