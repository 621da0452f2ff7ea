import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as api from './index.js';

const nonce = '0123456789abcdef0123456789abcdef';
const accepts = (schema: { safeParse(body: unknown): { success: boolean } }, body: unknown) => schema.safeParse(body).success;

describe('the words of the contract', () => {
  it('takes any uuid that libvirt takes, in lower case', () => {
    const upper = '{ABCDEF01-2345-0789-0BCD-EF0123456789}'.slice(1, -1);
    expect(api.uuid.parse(upper)).toBe(upper.toLowerCase());
    expect(accepts(api.uuid, 'abcdef01')).toBe(false);
  });

  it.each(['a', 'db-1', 'über', 'x'.repeat(128)])('takes the domain name %j', (name) => {
    expect(accepts(api.domainName, name)).toBe(true);
  });

  it.each(['', ' a', 'a/b', 'a\nb', 'a\0', 'x'.repeat(129)])('refuses the domain name %j', (name) => {
    expect(accepts(api.domainName, name)).toBe(false);
  });

  it.each(['..', 'a/b', '', '-a', 'x'.repeat(65), 'a.b', 'check'])(
    'refuses the migration id %j, which names files and routes',
    (id) => {
      expect(accepts(api.migrationId, id)).toBe(false);
    },
  );

  it('bounds every number', () => {
    fc.assert(
      fc.property(fc.oneof(fc.double(), fc.integer()), (value) => {
        const good = Number.isInteger(value) && value >= 1;
        expect(accepts(api.bandwidthMibPerSec, value)).toBe(good && value <= api.limits.bandwidthMibPerSecMax);
        expect(accepts(api.downtimeMs, value)).toBe(good && value <= api.limits.downtimeMsMax);
      }),
    );
  });
});

describe('what a peer answers', () => {
  const long = 'x'.repeat(100_000);
  const version = {
    app: 'destination-agent',
    version: '9',
    protocols: ['v3'],
    features: [],
    hostName: 'far',
    hostUuid: nonce,
    storeId: nonce,
  };
  const outcome = {
    answer: 'open',
    storeId: nonce,
    lockState: null,
    reason: null,
    held: null,
    resumedMsAgo: null,
    announcedMsAgo: null,
  };
  const replies = [
    [api.versionReply, version, ['version', 'hostName', 'hostUuid', 'storeId']],
    [api.outcomeReply, outcome, ['lockState', 'reason', 'held']],
    [api.evidenceReply, { storeId: nonce, guest: 'gone', permit: null, destroyed: false, ranOn: false }, ['permit']],
    [api.permitReply, { storeId: nonce, permit: null }, ['permit']],
  ] as const;

  it.each(replies)('%# is bounded in each of its texts', (schema, reply, texts) => {
    expect(accepts(schema, reply)).toBe(true);
    for (const name of texts) expect([name, accepts(schema, { ...reply, [name]: long })]).toEqual([name, false]);
  });

  it('is no host name with anything in it that a terminal acts on', () => {
    expect(accepts(api.versionReply, { ...version, hostName: 'a\u001b[31m' })).toBe(false);
    expect(accepts(api.versionReply, { ...version, features: Array.from({ length: 65 }, () => 'f') })).toBe(false);
  });
});

describe('a body', () => {
  const bodies = {
    begin: [api.beginRequest, { domain: 'a' }],
    prepare: [api.prepareRequest, { nonce, cookie: '', xml: '<domain/>' }],
    perform: [api.performRequest, { nonce, cookie: '' }],
    finish: [api.finishRequest, { nonce, cookie: '', cancelled: false }],
    prepare2: [api.prepare2Request, { nonce, xml: '<domain/>' }],
    perform2: [api.perform2Request, { nonce, domain: 'a', cookie: '' }],
    finish2: [api.finish2Request, { nonce, cancelled: false }],
    bind: [api.bindRequest, { nonce, storeId: nonce, cookie: '', paused: false }],
    permit: [api.permitRequest, { nonce, storeId: nonce }],
    confirm: [api.confirmRequest, { nonce, cookie: '', cancelled: false }],
    outcome: [api.outcomeRequest, { nonce, storeId: nonce }],
    session: [api.createSession, {}],
    stream: [api.createStream, { role: 'destination', migrationId: 'm1' }],
  } as const;

  it.each(Object.entries(bodies))('of %s is accepted, and refused with one field more', (_name, [schema, body]) => {
    expect(accepts(schema, body)).toBe(true);
    expect(accepts(schema, { ...body, surprise: 1 })).toBe(false);
  });

  it('S21: of v2 takes a null cookie for none', () => {
    expect(accepts(api.prepare2Request, { nonce, xml: '<domain/>', cookie: null })).toBe(true);
    expect(accepts(api.prepare2Request, { nonce, xml: '<domain/>', cookie: 'Y2I=' })).toBe(false);
    expect(accepts(api.finish2Request, { nonce, cancelled: true, cookie: null })).toBe(true);
  });

  it("names the bound of a cookie as its base64 has it; the bound itself is the codec's", () => {
    expect(Buffer.alloc(api.limits.cookieBytesMax, 1).toString('base64')).toHaveLength(api.limits.cookieBase64CharsMax);
  });

  it('takes no migration id that could leave its folder, in a hint of an adoption neither', () => {
    const hint = (id: string) =>
      accepts(api.adoptionRequest, { uuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8', migration: { id, nonce } });
    expect([hint('m1'), hint('../m1')]).toEqual([true, false]);
  });

  it('bounds each timeout, and refuses post-copy by its name', () => {
    const { timeoutSecondsMax, timeoutSecondsPerGibMax, stallSecondsMax } = api.limits;
    fc.assert(
      fc.property(fc.oneof(fc.double(), fc.integer()), (value) => {
        const good = (max: number) => Number.isInteger(value) && value >= 1 && value <= max;
        const takes = (name: string) => accepts(api.migrationTimeouts, { [name]: value });
        expect(['totalSeconds', 'secondsPerGib', 'stallSeconds'].map(takes)).toEqual(
          [timeoutSecondsMax, timeoutSecondsPerGibMax, stallSecondsMax].map(good),
        );
      }),
    );
    for (const refused of [
      api.migrationTimeouts.safeParse({ action: 'postcopy' }),
      api.forceComplete.safeParse({ strategy: 'postcopy' }),
    ])
      expect(refused.error?.issues[0]?.message).toContain('post-copy does not exist');
  });

  it('refuses parameters that change nothing', () => {
    expect(accepts(api.migrationParameters, {})).toBe(false);
    expect(accepts(api.migrationParameters, { downtimeMsMax: 10 })).toBe(true);
  });
});
