import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedLocks, noLocks } from '@vmferry/locking';
import { systemClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { Protocols } from './protocols.js';

const locks = async (scope: 'host' | 'shared') =>
  EmbeddedLocks.open({ folder: await mkdtemp(join(tmpdir(), 'vl-')), scope, hostUuid: 'a', clock: systemClock });

describe('the protocols of an agent', () => {
  it('S42: are what it was told to offer', async () => {
    for (const driver of [noLocks, await locks('host')]) {
      expect(new Protocols(['v3', 'v2'], driver).offered).toEqual(['v3', 'v2']);
      const old = new Protocols(['v2'], driver);
      expect(() => old.refuseUnless('v2')).not.toThrow();
      expect(() => old.refuseUnless('v3')).toThrow(expect.objectContaining({ code: 'peer-protocol' }));
    }
  });

  it('S23: a lock driver with state leaves v2 out, refuses its steps, and cannot be had with v2 alone', async () => {
    const shared = await locks('shared');
    expect(shared.usesState).toBe(true);
    const protocols = new Protocols(['v3', 'v2'], shared);
    expect(protocols.offered).toEqual(['v3']);
    expect(() => protocols.refuseUnless('v3')).not.toThrow();
    expect(() => protocols.refuseUnless('v2')).toThrow(
      expect.objectContaining({ code: 'peer-protocol', message: expect.stringMatching(/embedded-shared uses state/) as string }),
    );
    expect(() => new Protocols(['v2'], shared)).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
  });
});
