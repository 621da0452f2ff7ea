import type {
  DomainResource,
  FinishRequest,
  MigrationResource,
  PerformRequest,
  SessionResource,
  VersionReply,
} from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';
import { describe, expect, it, vi } from 'vitest';
import type { DestinationEnd, SessionEnd, SourceEnd } from './ends.js';
import { ManagedMigration, type ManagedMigrationOptions } from './managed-migration.js';

/*
 * The two agents here are doubles in this process: they show in which order the client asks what, and what it makes of the answers.
 * Real agents with real QEMU are driven by the integration suites.
 */

const nonce = 'a'.repeat(32);
const request = { id: 'm1', domain: 'web', flags: ['LIVE', 'PERSIST_DEST'] };

/** Time that moves by hand. */
class ManualClock implements Clock {
  #nowMs = 0;
  #timers: { atMs: number; act: () => void }[] = [];
  monotonicMs = () => this.#nowMs;
  wall = () => new Date(this.#nowMs);
  after(delayMs: number, act: () => void) {
    const timer = { atMs: this.#nowMs + delayMs, act };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#nowMs = due.atMs;
      due.act();
      await settled();
    }
    this.#nowMs = untilMs;
  }
  get timers(): number {
    return this.#timers.length;
  }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function agents(
  overrides: {
    source?: Partial<SourceEnd>;
    destination?: Partial<DestinationEnd>;
    sourceVersion?: Partial<VersionReply>;
    destinationVersion?: Partial<VersionReply>;
  } = {},
) {
  const calls: string[] = [];
  const bodies: Record<string, unknown> = {};
  const note = (call: string, body?: unknown) => {
    calls.push(call);
    bodies[call] = body;
  };
  const session = (side: string, version: VersionReply): SessionEnd => ({
    version: async () => version,
    createSession: async (body) => {
      note(`${side}.createSession`, body);
      return sessionOf(side);
    },
    renewSession: async () => {
      note(`${side}.renew`);
      return sessionOf(side);
    },
    endSession: async () => note(`${side}.endSession`),
  });
  const sessionOf = (side: string): SessionResource => ({
    id: `${side}-session`,
    ttlSeconds: 15,
    expiresAt: '2026-01-01T00:00:00.000Z',
  });
  const source: SourceEnd = {
    ...session('source', { ...versionOf('source-agent', 'a'), ...overrides.sourceVersion }),
    begin: async (_, body) => {
      note('begin', body);
      return { nonce, cookie: 'Y2I=', xml: '<domain/>', flags: body.flags ?? [], domain: { uuid: 'u', name: 'web' } };
    },
    perform: async (_, body) => {
      note('perform', body);
      return { cookie: 'Y3A=' };
    },
    confirm: async (_, body) => {
      note('confirm', body);
      return body.cancelled ? { outcome: 'aborted', state: 'FAILED' } : { outcome: 'committed', state: 'SUCCEEDED' };
    },
    cancelMigration: async () => {
      note('cancel');
      throw new Error('the resource is not looked at');
    },
    domain: async () => domainIn('running'),
    domainXml: async () => ({ xml: '<domain/>' }),
    perform2: async (_, body) => {
      note('perform2', body);
      return {};
    },
    migration: async () => ended('committed'),
    ...overrides.source,
  };
  const prepare =
    (step: string): DestinationEnd['prepare'] =>
    async (_, body) => {
      note(step, body);
      return { cookie: 'Y2Q=', uri: !step.includes('tunnel') ? 'http://b:7802/v1/migrations/m1/stream' : null };
    };
  const destination: DestinationEnd = {
    ...session('destination', { ...versionOf('destination-agent', 'b'), ...overrides.destinationVersion }),
    prepare: prepare('prepare'),
    prepareTunnel: prepare('prepare-tunnel'),
    prepare2: (id, body) => prepare('prepare2')(id, { ...body, cookie: '' }),
    prepareTunnel2: (id, body) => prepare('prepare-tunnel2')(id, { ...body, cookie: '' }),
    finish2: async (id, { cookie, ...body }) => {
      note('finish2', body);
      return finish(id, { cookie: cookie ?? '', ...body });
    },
    finish: (id, body) => {
      note('finish', body);
      return finish(id, body);
    },
    ...overrides.destination,
  };
  return { source, destination, calls, bodies };
}

const finish: DestinationEnd['finish'] = async (_, body) => {
  const domain = { uuid: 'u', name: 'web', state: 'running', reason: 'migrated' };
  return body.cancelled
    ? { outcome: 'aborted', cookie: '', domain: null, handover: 'none', resumedMsAgo: null, announcedMsAgo: null }
    : { outcome: 'committed', cookie: 'Y2Y=', domain, handover: 'done', resumedMsAgo: 1, announcedMsAgo: null };
};

// What is looked at of the two resources, and no more.
const domainIn = (state: DomainResource['state']) => ({ state }) as DomainResource;
const ended = (outcome: MigrationResource['outcome']) =>
  ({ outcome, finishedAt: '2026-01-01T00:00:01.000Z', generation: 9 }) as MigrationResource;

const versionOf = (app: VersionReply['app'], host: string): VersionReply => ({
  app,
  version: '0.1.0',
  protocols: ['v3'],
  features: ['change-protection'],
  hostName: host,
  hostUuid: `uuid-${host}`,
  storeId: host.repeat(32),
});

function managed(doubles: ReturnType<typeof agents>, options: Partial<ManagedMigrationOptions> = {}) {
  const clock = new ManualClock();
  return {
    clock,
    migration: new ManagedMigration({ source: doubles.source, destination: doubles.destination, request, clock, ...options }),
  };
}

const five = ['begin', 'prepare', 'perform', 'finish', 'confirm'];

describe('a managed migration', () => {
  it('S41: takes the five steps in order, the cookie out of each into the next', async () => {
    const doubles = agents();
    const { migration, clock } = managed(doubles);
    expect(await migration.run()).toEqual({ outcome: 'committed', error: null });
    expect(doubles.calls).toEqual([
      'source.createSession',
      'destination.createSession',
      ...five,
      'destination.endSession',
      'source.endSession',
    ]);
    expect(doubles.bodies).toMatchObject({
      begin: { domain: 'web', session: 'source-session' },
      prepare: { cookie: 'Y2I=', xml: '<domain/>', nonce, session: 'destination-session' },
      perform: { cookie: 'Y2Q=', uri: 'http://b:7802/v1/migrations/m1/stream' },
      finish: { cookie: 'Y3A=', cancelled: false },
      confirm: { cookie: 'Y2Y=', cancelled: false },
    });
    expect(clock.timers).toBe(0);
  });

  it('S1: adds CHANGE_PROTECTION when the source offers it and never sends it to the destination', async () => {
    const doubles = agents();
    await managed(doubles).migration.run();
    for (const step of ['begin', 'perform', 'confirm'])
      expect(doubles.bodies[step]).toMatchObject({ flags: ['LIVE', 'PERSIST_DEST', 'CHANGE_PROTECTION'] });
    for (const step of ['prepare', 'finish']) expect(doubles.bodies[step]).toMatchObject({ flags: ['LIVE', 'PERSIST_DEST'] });
    const old = agents({ sourceVersion: { features: [] } });
    await managed(old).migration.run();
    expect(old.bodies.begin).toMatchObject({ flags: ['LIVE', 'PERSIST_DEST'] });
  });

  it('prepares the tunnel and passes no address on when it is tunnelled', async () => {
    const doubles = agents();
    await managed(doubles, { request: { ...request, flags: ['TUNNELLED'] } }).migration.run();
    expect(doubles.calls).toContain('prepare-tunnel');
    expect(doubles.bodies.perform).not.toHaveProperty('uri');
  });

  it('keeps the name, bandwidth and PAUSED that Begin added through the steps', async () => {
    const doubles = agents();
    const begin: SourceEnd['begin'] = (...asked) => doubles.source.begin(...asked);
    const source = {
      ...doubles.source,
      begin: async (...a: Parameters<SourceEnd['begin']>) => ({ ...(await begin(...a)), flags: ['PAUSED'] }),
    };
    await managed(
      { ...doubles, source },
      { request: { ...request, destinationName: 'web2', bandwidthMibPerSec: 8 } },
    ).migration.run();
    for (const step of ['prepare', 'perform'])
      expect(doubles.bodies[step]).toMatchObject({ flags: ['PAUSED'], destinationName: 'web2', bandwidthMibPerSec: 8 });
    expect(doubles.bodies.finish).toMatchObject({ flags: ['PAUSED'], destinationName: 'web2' });
  });

  it.each([
    ['begin', ['v3', 'v2']],
    ['perform2', ['v2']],
  ])('gives the source its limits, with %s', async (step, protocols) => {
    const doubles = agents({ sourceVersion: { protocols: ['v3', 'v2'] }, destinationVersion: { protocols } });
    const limits = { downtimeMsMax: 200, bandwidthMibPerSec: 8, timeouts: { totalSeconds: 30, action: 'pause' as const } };
    await managed(doubles, { request: { ...request, ...limits } }).migration.run();
    expect(doubles.bodies[step]).toMatchObject(limits);
  });

  it('S27: a failed Perform is the error; Finish asks for an abort and Confirm for a look at the record', async () => {
    const doubles = agents({
      source: { perform: async () => Promise.reject(new VmferryError('migration-failed', 'the stream broke')) },
    });
    const { outcome, error } = await managed(doubles).migration.run();
    expect({ outcome, code: error?.code, place: error?.place }).toEqual({
      outcome: 'aborted',
      code: 'migration-failed',
      place: { side: 'source', phase: 'perform' },
    });
    expect(doubles.bodies).toMatchObject({ finish: { cancelled: true, cookie: '' }, confirm: { cancelled: true } });
  });

  it('S41: the lost reply of Finish leads to Confirm, and the record decides', async () => {
    const doubles = agents({
      destination: { finish: async () => Promise.reject(new VmferryError('peer-unreachable', 'socket hang up')) },
      source: {
        confirm: async (_, body) => {
          expect(body).toMatchObject({ cancelled: true, cookie: '' });
          return { outcome: 'committed', state: 'SUCCEEDED' };
        },
      },
    });
    const { outcome, error } = await managed(doubles).migration.run();
    expect({ outcome, code: error?.code }).toEqual({ outcome: 'committed', code: 'peer-unreachable' });
  });

  it.each([
    ['aborted', 'migration-aborted'],
    ['pending', 'migration-undecided'],
    ['unknown', 'migration-undecided'],
  ] as const)('S26: Finish that answers %s instead of a domain is an error', async (outcome, code) => {
    const doubles = agents({
      destination: {
        finish: async () => ({ outcome, cookie: '', domain: null, handover: 'none', resumedMsAgo: null, announcedMsAgo: null }),
      },
      source: { confirm: async () => ({ outcome, state: 'RUNNING' }) },
    });
    const result = await managed(doubles).migration.run();
    expect({ outcome: result.outcome, code: result.error?.code }).toEqual({ outcome, code });
  });

  it('S26: committed without a domain is not believed, and Confirm asks the record', async () => {
    const doubles = agents({
      destination: {
        finish: async () => ({
          outcome: 'committed',
          cookie: '',
          domain: null,
          handover: 'none',
          resumedMsAgo: null,
          announcedMsAgo: null,
        }),
      },
    });
    expect((await managed(doubles).migration.run()).error?.code).toBe('peer-nonsense');
    expect(doubles.bodies.confirm).toMatchObject({ cancelled: true });
  });

  it('a direct Prepare without an address fails before Perform', async () => {
    const doubles = agents({ destination: { prepare: async () => ({ cookie: '', uri: null }) } });
    expect((await managed(doubles).migration.run()).error).toMatchObject({ code: 'peer-nonsense', place: { phase: 'prepare' } });
    expect(doubles.calls).not.toContain('perform');
    expect(doubles.bodies.finish).toMatchObject({ cancelled: true });
  });

  it('throws what Begin refuses, and ends both sessions', async () => {
    const doubles = agents({ source: { begin: async () => Promise.reject(new VmferryError('domain-not-found', 'no web')) } });
    await expect(managed(doubles).migration.run()).rejects.toMatchObject({ code: 'domain-not-found' });
    expect(doubles.calls.slice(-2)).toEqual(['destination.endSession', 'source.endSession']);
  });
});

describe('refusals before any side effect', () => {
  it.each([
    ['S46: the same host by name', { destinationVersion: { hostName: 'a' } }, 'same-host'],
    ['S46: the same host by uuid', { destinationVersion: { hostUuid: 'uuid-a' } }, 'same-host'],
    ['S42: no protocol that both speak', { destinationVersion: { protocols: ['v2'] } }, 'peer-protocol'],
    ['a source without v3', { sourceVersion: { protocols: [] } }, 'peer-protocol'],
    ['a URL of the wrong app', { destinationVersion: { app: 'tunnel-relay' as const } }, 'peer-protocol'],
    ["the source's own source-agent", { destinationVersion: { app: 'source-agent' as const, hostName: 'A' } }, 'same-host'],
  ])('%s', async (_, versions, code) => {
    const doubles = agents(versions);
    await expect(managed(doubles).migration.run()).rejects.toMatchObject({ code });
    expect(doubles.calls).toEqual([]);
  });

  it('the flag PEER2PEER', () => {
    expect(() => managed(agents(), { request: { ...request, flags: ['PEER2PEER'] } })).toThrow(VmferryError);
  });
});

describe('S42: a managed migration to a destination that offers v2 alone', () => {
  const v2 = (overrides: Parameters<typeof agents>[0] = {}) =>
    agents({ sourceVersion: { protocols: ['v3', 'v2'] }, destinationVersion: { protocols: ['v2'] }, ...overrides });

  it('takes its three steps, with one nonce of its own and no cookie but that of Prepare', async () => {
    const doubles = v2();
    const begun = vi.fn();
    const { migration, clock } = managed(doubles, { begun });
    expect(await migration.run()).toEqual({ outcome: 'committed', error: null });
    expect(doubles.calls.filter((call) => !call.includes('Session'))).toEqual(['prepare2', 'perform2', 'finish2']);
    const { prepare2, perform2, finish2 } = doubles.bodies as Record<string, { nonce: string }>;
    expect(prepare2).toMatchObject({ xml: '<domain/>', flags: ['LIVE', 'PERSIST_DEST'], session: 'destination-session' });
    expect(perform2).toMatchObject({ cookie: 'Y2Q=', domain: 'web', session: 'source-session', flags: ['LIVE', 'PERSIST_DEST'] });
    expect(finish2).toEqual({ nonce: prepare2?.nonce, flags: ['LIVE', 'PERSIST_DEST'], cancelled: false });
    expect(prepare2?.nonce).toMatch(/^[0-9a-f]{32}$/);
    expect(perform2?.nonce).toBe(prepare2?.nonce);
    expect(begun).toHaveBeenCalledOnce();
    expect(clock.timers).toBe(0);
  });

  it('S20: v3 is spoken wherever the destination offers it', async () => {
    const doubles = v2({ destinationVersion: { protocols: ['v3', 'v2'] } });
    await managed(doubles).migration.run();
    expect(doubles.calls).toContain('perform');
    expect(doubles.calls).not.toContain('perform2');
  });

  it('prepares the tunnel, and adds PAUSED for a guest that is paused', async () => {
    const doubles = v2({ source: { domain: async () => domainIn('paused') } });
    await managed(doubles, { request: { ...request, flags: ['TUNNELLED'], uri: 'http://fast.example' } }).migration.run();
    expect(doubles.calls).toContain('prepare-tunnel2');
    expect(doubles.bodies['prepare-tunnel2']).toMatchObject({ flags: ['TUNNELLED', 'PAUSED'], uri: 'http://fast.example' });
    expect(doubles.bodies.perform2).not.toHaveProperty('uri');
  });

  it('S27: a failed Perform2 is the error, Finish2 asks for an abort, and the source tells how it ended', async () => {
    const doubles = v2({
      source: {
        perform2: async () => Promise.reject(new VmferryError('migration-failed', 'the stream broke')),
        migration: async () => ended('aborted'),
      },
    });
    const { outcome, error } = await managed(doubles).migration.run();
    expect({ outcome, code: error?.code, place: error?.place }).toEqual({
      outcome: 'aborted',
      code: 'migration-failed',
      place: { side: 'source', phase: 'perform' },
    });
    expect(doubles.bodies.finish2).toMatchObject({ cancelled: true });
  });

  it('S26: the lost reply of Finish2 is no failure when the source has read committed', async () => {
    const doubles = v2({
      destination: { finish2: async () => Promise.reject(new VmferryError('peer-unreachable', 'socket hang up')) },
    });
    const { outcome, error } = await managed(doubles).migration.run();
    expect({ outcome, code: error?.code }).toEqual({ outcome: 'committed', code: 'peer-unreachable' });
  });

  it('what the source never heard of has ended with what Finish2 said', async () => {
    const doubles = v2({
      source: {
        perform2: async () => Promise.reject(new VmferryError('domain-busy', 'busy')),
        migration: async () => Promise.reject(new VmferryError('migration-not-found', 'never')),
      },
    });
    const { outcome, error } = await managed(doubles).migration.run();
    expect({ outcome, code: error?.code }).toEqual({ outcome: 'aborted', code: 'domain-busy' });
  });

  it.each([
    ['a definition for the destination', { request: { ...request, xml: '<domain/>' } }, {}, 'invalid-argument'],
    ['a domain that is shut off', {}, { source: { domain: async () => domainIn('shutoff') } }, 'domain-not-running'],
  ] as const)('refuses %s before any step', async (_, options, overrides, code) => {
    const doubles = v2(overrides);
    await expect(managed(doubles, options).migration.run()).rejects.toMatchObject({ code });
    expect(doubles.calls.filter((call) => !call.includes('Session'))).toEqual([]);
  });

  it('a cancel that comes before the source knows of the migration is told to it as soon as it does', async () => {
    let fail: (error: VmferryError) => void = () => undefined;
    let known = false;
    const doubles = v2({
      source: {
        perform2: () => new Promise((_, reject) => (fail = reject)),
        migration: async () => {
          if (known) return ended('aborted');
          throw new VmferryError('migration-not-found', 'not yet');
        },
        cancelMigration: async () => {
          doubles.calls.push('cancel');
          fail(new VmferryError('migration-cancelled', 'cancelled'));
          return ended('aborted');
        },
      },
    });
    const { migration, clock } = managed(doubles);
    const run = migration.run();
    await settled();
    await migration.cancel();
    expect(doubles.calls).not.toContain('cancel');
    known = true;
    await clock.pass(100);
    expect((await run).error?.code).toBe('migration-cancelled');
    expect(doubles.calls).toContain('cancel');
  });
});

describe('control sessions', () => {
  it('are renewed at both agents every third of the TTL while a step lasts, and no longer', async () => {
    let performed: (reply: { cookie: string }) => void = () => undefined;
    const doubles = agents({ source: { perform: () => new Promise((resolve) => (performed = resolve)) } });
    const { migration, clock } = managed(doubles);
    const run = migration.run();
    await settled();
    const renewals = () => doubles.calls.filter((call) => call.endsWith('.renew'));
    await clock.pass(4_999);
    expect(renewals()).toEqual([]);
    await clock.pass(1);
    expect(renewals()).toEqual(['source.renew', 'destination.renew']);
    await clock.pass(10_000);
    expect(renewals()).toHaveLength(6);
    performed({ cookie: 'Y3A=' });
    await run;
    await clock.pass(60_000);
    expect(renewals()).toHaveLength(6);
  });

  it('go on being renewed after a lost beat; a session that the agent does not know is reported once', async () => {
    const answers = [new VmferryError('peer-unreachable', 'down'), new VmferryError('session-not-found', 'gone')];
    const doubles = agents({
      source: {
        renewSession: async () => Promise.reject(answers.shift() ?? new Error('renewed after the loss')),
        perform: () => new Promise(() => undefined),
      },
    });
    const lost: string[] = [];
    const { migration, clock } = managed(doubles, { sessionLost: (side, error) => lost.push(`${side} ${error.code}`) });
    void migration.run();
    await settled();
    await clock.pass(5_000);
    expect(lost).toEqual([]);
    await clock.pass(60_000);
    expect(lost).toEqual(['source session-not-found']);
    expect(answers).toEqual([]);
  });

  it('ask for the TTL that was wished for', async () => {
    const doubles = agents();
    await managed(doubles, { sessionTtlSeconds: 2 }).migration.run();
    expect(doubles.bodies).toMatchObject({
      'source.createSession': { ttlSeconds: 2 },
      'destination.createSession': { ttlSeconds: 2 },
    });
  });
});

describe('cancel', () => {
  it('while Perform runs is asked of the source-agent; the steps tell what came of it', async () => {
    let fail: (error: VmferryError) => void = () => undefined;
    const doubles = agents({
      source: {
        perform: () => new Promise((_, reject) => (fail = reject)),
        // The answer of the agent is not looked at: what counts is how Perform ends.
        cancelMigration: async () => {
          doubles.calls.push('cancel');
          fail(new VmferryError('migration-cancelled', 'cancelled'));
          return Promise.reject(new VmferryError('peer-unreachable', 'the reply was lost'));
        },
      },
    });
    const { migration } = managed(doubles);
    const run = migration.run();
    await settled();
    await expect(migration.cancel()).rejects.toMatchObject({ code: 'peer-unreachable' });
    const { outcome, error } = await run;
    expect({ outcome, code: error?.code }).toEqual({ outcome: 'aborted', code: 'migration-cancelled' });
    expect(doubles.calls.filter((call) => ['cancel', 'finish', 'confirm'].includes(call))).toEqual([
      'cancel',
      'finish',
      'confirm',
    ]);
  });

  it('before Begin has answered is honoured without Prepare', async () => {
    const doubles = agents();
    const { migration } = managed(doubles, { entered: (step) => void (step === 'begin' && migration.cancel()) });
    const { outcome, error } = await migration.run();
    expect({ outcome, code: error?.code }).toEqual({ outcome: 'aborted', code: 'migration-cancelled' });
    expect(doubles.calls).not.toContain('prepare');
    expect(doubles.calls).not.toContain('cancel');
  });
});

describe('the bodies of the steps', () => {
  it("are the contract's", async () => {
    const { finishRequest, performRequest } = await import('@vmferry/api');
    const doubles = agents();
    await managed(doubles).migration.run();
    const perform: PerformRequest = performRequest.parse(doubles.bodies.perform);
    const finish: FinishRequest = finishRequest.parse(doubles.bodies.finish);
    expect([perform.nonce, finish.nonce]).toEqual([nonce, nonce]);
  });
});
