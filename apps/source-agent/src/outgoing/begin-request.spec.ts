import { describe, expect, it } from 'vitest';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import { scriptedMonitor } from '../testing/scripted-monitor.js';
import { beginChecks } from './begin-request.js';

/** A running domain whose QEMU has these capabilities; of the others that are asked each has nothing against it. */
async function domainWith(...capabilities: string[]): Promise<Domain> {
  const { qmp, answers } = await scriptedMonitor();
  const needed = ['events', 'return-path', 'late-block-activate'];
  answers['query-migrate-capabilities'] = [...needed, ...capabilities].map((capability) => ({ capability, state: false }));
  return {
    name: 'web',
    guest: { qmp },
    state: { state: 'running', reason: 'booted' },
    migration: null,
    autodestroy: false,
    definition: { unsupported: [], devices: [] },
    activeGuest: () => undefined,
    refuseUndecided: () => undefined,
  } as unknown as Domain;
}

const context = { relay: {}, host: { hostName: 'a' } } as SourceContext;

/** The codes of all that is in the way of PARALLEL. */
async function refusals(domain: Domain, flags: string[], parallelConnections?: number): Promise<string[]> {
  const wish = parallelConnections === undefined ? {} : { parallelConnections };
  const codes: string[] = [];
  for (const check of beginChecks(context, domain, { domain: 'web', flags, ...wish })) {
    try {
      await check();
    } catch (thrown) {
      const { code, message } = thrown as { readonly code?: string; readonly message: string };
      if (/PARALLEL/.test(message)) codes.push(code ?? message);
    }
  }
  return codes;
}

describe('PARALLEL at the source', () => {
  it('takes the tunnel, and a QEMU that has multifd', async () => {
    const domain = await domainWith('multifd');
    expect(await refusals(domain, ['LIVE', 'TUNNELLED', 'PARALLEL'], 16)).toEqual([]);
    expect(await refusals(domain, ['LIVE', 'PARALLEL'])).toEqual(['flag-unsupported']);
    expect(await refusals(domain, ['LIVE', 'TUNNELLED'], 2)).toEqual(['invalid-argument']);
  });

  it('is refused when the QEMU that runs has no multifd, whatever the emulator on the host has by now', async () => {
    const domain = await domainWith();
    expect(await refusals(domain, ['LIVE', 'TUNNELLED', 'PARALLEL'])).toEqual(['hypervisor-unsupported']);
    expect(await refusals(domain, ['LIVE', 'TUNNELLED'])).toEqual([]);
  });
});
