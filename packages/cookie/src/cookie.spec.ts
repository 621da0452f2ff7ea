import { type ErrorCode, VmferryError } from '@vmferry/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCookie, decodeOptional } from './decode.js';
import { encodeCookie } from './encode.js';
import type { CookieExpectation, MigrationCookie } from './model.js';
import { cookieFromBase64, cookieToBase64 } from './wire.js';

const uuid = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';
const hostUuid = '11111111-2222-3333-4444-555555555555';
const nonce = 'ab'.repeat(16);

const base: MigrationCookie = { name: 'guest', uuid, hostName: 'alpha', hostUuid, features: [] };
const expected: CookieExpectation = {
  name: 'guest',
  uuid,
  localHostName: 'beta',
  localHostUuid: '99999999-2222-3333-4444-555555555555',
};
const locking: CookieExpectation = { ...expected, lockDriver: { name: 'embedded', usesState: true } };
const migrating: CookieExpectation = { ...expected, migration: { id: 'm1', nonce } };

function wire(text: string): Uint8Array {
  return Buffer.from(`${text}\0`);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

function codeOf(act: () => unknown): ErrorCode | 'accepted' {
  try {
    act();
  } catch (error) {
    if (error instanceof VmferryError) return error.code;
    throw error;
  }
  return 'accepted';
}

/** A cookie as text, with the base fields replaced; undefined leaves one out. */
function cookieText(fields: Partial<Record<'name' | 'uuid' | 'hostname' | 'hostuuid', string | undefined>>, rest = ''): string {
  const all = { name: 'guest', uuid, hostname: 'alpha', hostuuid: hostUuid, ...fields };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined);
  return `<qemu-migration>${lines.map(([name, value]) => `<${name}>${value}</${name}>`).join('')}${rest}</qemu-migration>`;
}

describe('the form of a cookie', () => {
  it('S46: is that of libvirt, in its order, with a NUL, and our element last', () => {
    const cookie: MigrationCookie = {
      ...base,
      features: ['lockstate'],
      graphics: { type: 'spice', port: 5900, tlsPort: 5901, listen: '10.0.0.2', certSubject: 'O=x,CN=beta' },
      lockState: { driver: 'embedded', leases: 'k:1' },
      persistentXml: "<domain type='qemu'><name>guest</name></domain>",
      vmferry: { migrationId: 'm1', nonce, peer: { role: 'source', url: 'http://127.0.0.1:1/', storeId: nonce } },
    };
    expect(textOf(encodeCookie(cookie))).toBe(`<qemu-migration>
  <name>guest</name>
  <uuid>${uuid}</uuid>
  <hostname>alpha</hostname>
  <hostuuid>${hostUuid}</hostuuid>
  <feature name='lockstate'/>
  <graphics type='spice' port='5900' listen='10.0.0.2' tlsPort='5901'>
    <cert info='subject' value='O=x,CN=beta'/>
  </graphics>
  <lockstate driver='embedded'>
    <leases>k:1</leases>
  </lockstate>
  <domain type='qemu'>
    <name>guest</name>
  </domain>
  <vmferry version='1'>
    <migration id='m1' nonce='${nonce}'/>
    <peer role='source' url='http://127.0.0.1:1/' storeId='${nonce}'/>
  </vmferry>
</qemu-migration>
\0`);
  });

  it('S45: the graphics element closes in place without TLS, and has tlsPort for spice only', () => {
    const spice = encodeCookie({ ...base, graphics: { type: 'spice', port: 5900, tlsPort: -1, listen: '::' } });
    expect(textOf(spice)).toContain("<graphics type='spice' port='5900' listen='::' tlsPort='-1'/>");
    const vnc = encodeCookie({ ...base, graphics: { type: 'vnc', port: 5900, tlsPort: -1, listen: '0.0.0.0' } });
    expect(textOf(vnc)).toContain("<graphics type='vnc' port='5900' listen='0.0.0.0'/>");
  });

  it('S36: there is no graphics element without graphics', () => {
    expect(textOf(encodeCookie(base))).not.toContain('graphics');
    expect(decodeCookie(encodeCookie(base), expected)).toEqual(base);
  });

  it('S23: a driver without state sends the mandatory feature and no lockstate element', () => {
    const bytes = encodeCookie({ ...base, features: ['lockstate'] });
    expect(textOf(bytes)).not.toContain('<lockstate');
    const none = { ...expected, lockDriver: { name: 'none', usesState: false } };
    expect(decodeCookie(bytes, none)).toEqual({ ...base, features: ['lockstate'] });
  });

  it('passes over the later sections of libvirt', () => {
    const later = "<network><interface index='0'/></network><nbd port='1'/><statistics/><cpu mode='custom'/>";
    expect(decodeCookie(wire(cookieText({}, later)), expected)).toEqual(base);
  });

  it('reads an upper-case uuid', () => {
    expect(decodeCookie(wire(cookieText({ uuid: uuid.toUpperCase() })), expected).uuid).toBe(uuid);
  });
});

describe('the parse order (A2)', () => {
  const faults: [string, CookieExpectation, string, ErrorCode, RegExp][] = [
    ['a missing name', expected, cookieText({ name: undefined }), 'cookie-malformed', /name is missing/],
    ['another name', expected, cookieText({ name: 'other' }), 'cookie-mismatch', /"other"/],
    ['a missing uuid', expected, cookieText({ uuid: undefined }), 'cookie-malformed', /uuid is missing/],
    ['a malformed uuid', expected, cookieText({ uuid: 'x' }), 'cookie-malformed', /uuid is not valid/],
    ['another uuid', expected, cookieText({ uuid: hostUuid }), 'cookie-mismatch', /1111/],
    ['a missing host name', expected, cookieText({ hostname: undefined }), 'cookie-malformed', /hostName is missing/],
    ['the own host name', expected, cookieText({ hostname: 'BETA' }), 'same-host', /name BETA/],
    ['a missing host uuid', expected, cookieText({ hostuuid: undefined }), 'cookie-malformed', /hostUuid is missing/],
    ['a malformed host uuid', expected, cookieText({ hostuuid: '1' }), 'cookie-malformed', /hostUuid is not valid/],
    ['the own host uuid', expected, cookieText({ hostuuid: expected.localHostUuid }), 'same-host', /uuid 9999/],
    ['a feature without a name', expected, cookieText({}, '<feature/>'), 'cookie-malformed', /no name/],
    ['an unknown feature', expected, cookieText({}, "<feature name='nbd'/>"), 'cookie-feature-unsupported', /"nbd"/],
    [
      'lockstate where none is read',
      expected,
      cookieText({}, "<feature name='lockstate'/>"),
      'cookie-feature-unsupported',
      /lockstate/,
    ],
    ['graphics without a type', expected, cookieText({}, "<graphics port='1' listen='x'/>"), 'cookie-malformed', /type/],
    [
      'an unknown graphics type',
      expected,
      cookieText({}, "<graphics type='sdl' port='1' listen='x'/>"),
      'cookie-malformed',
      /type/,
    ],
    ['graphics without a port', expected, cookieText({}, "<graphics type='vnc' listen='x'/>"), 'cookie-malformed', /port/],
    [
      'graphics with a bad port',
      expected,
      cookieText({}, "<graphics type='vnc' port='65536' listen='x'/>"),
      'cookie-malformed',
      /port/,
    ],
    [
      'spice without tlsPort',
      expected,
      cookieText({}, "<graphics type='spice' port='1' listen='x'/>"),
      'cookie-malformed',
      /tlsPort/,
    ],
    ['graphics without listen', expected, cookieText({}, "<graphics type='vnc' port='1'/>"), 'cookie-malformed', /listen/],
    ['lockstate without a driver', expected, cookieText({}, '<lockstate/>'), 'cookie-malformed', /driver/],
    [
      'another lock driver',
      locking,
      cookieText({}, "<lockstate driver='sanlock'/>"),
      'lock-driver-mismatch',
      /"sanlock".*"embedded"/,
    ],
    ['no lock state', locking, cookieText({}), 'cookie-malformed', /needs the lock state/],
    ['empty leases', locking, cookieText({}, "<lockstate driver='embedded'><leases/></lockstate>"), 'cookie-malformed', /needs/],
    ['no vmferry element', migrating, cookieText({}), 'cookie-malformed', /<vmferry>/],
  ];

  it.each(faults)('S46: refuses %s', (_, expectation, text, code, message) => {
    expect(codeOf(() => decodeCookie(wire(text), expectation))).toBe(code);
    expect(() => decodeCookie(wire(text), expectation)).toThrow(message);
  });

  it('S46: reports the first fault in libvirt’s order when there are several', () => {
    const order = ['name', 'uuid', 'hostname', 'hostuuid'] as const;
    const bad = { name: 'other', uuid: hostUuid, hostname: 'beta', hostuuid: expected.localHostUuid };
    const tail = "<feature name='nbd'/><graphics/><lockstate/>";
    const messages = [/"other"/, /1111/, /name beta/, /uuid 9999/, /"nbd"/];
    for (let first = 0; first < messages.length; first += 1) {
      const fields = Object.fromEntries(order.slice(first).map((field) => [field, bad[field]]));
      expect(() => decodeCookie(wire(cookieText(fields, tail)), locking)).toThrow(messages[first]);
    }
  });

  it('S35: any feature but those known ends the parse', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z-]{1,20}$/), (name) => {
        fc.pre(name !== 'graphics' && name !== 'lockstate');
        expect(codeOf(() => decodeCookie(wire(cookieText({}, `<feature name='${name}'/>`)), locking))).toBe(
          'cookie-feature-unsupported',
        );
      }),
    );
  });

  it('S35: the element is <feature>; a known one is accepted where the step reads it', () => {
    const text = cookieText(
      {},
      "<feature name='lockstate'/><feature name='graphics'/><lockstate driver='embedded'><leases>x</leases></lockstate>",
    );
    expect(decodeCookie(wire(text), locking)).toEqual({
      ...base,
      features: ['lockstate', 'graphics'],
      lockState: { driver: 'embedded', leases: 'x' },
    });
  });

  it.each(['name', 'uuid', 'hostname', 'hostuuid', 'lockstate', 'graphics', 'vmferry', 'domain'])(
    'refuses a second <%s>',
    (name) => {
      const twice = "<lockstate driver='embedded'/><graphics type='vnc' port='1' listen='x'/><domain/>";
      const own = `<vmferry version='1'><migration id='m1' nonce='${nonce}'/></vmferry>`;
      const text = cookieText({}, twice + own);
      const element = new RegExp(`<${name}( [^>]*)?(/>|>.*?</${name}>)`).exec(text)?.[0] ?? '';
      expect(codeOf(() => decodeCookie(wire(text), expected))).toBe('accepted');
      expect(codeOf(() => decodeCookie(wire(text.replace(element, element + element)), expected))).toBe('cookie-malformed');
    },
  );
});

describe('the element of vmferry', () => {
  const own = (inner: string, version = '1') => wire(cookieText({}, `<vmferry version='${version}'>${inner}</vmferry>`));
  const migration = `<migration id='m1' nonce='${nonce}'/>`;

  it.each([
    ['another version', own(migration, '2'), 'cookie-malformed'],
    ['no migration', own(''), 'cookie-malformed'],
    ['another migration', own(`<migration id='m2' nonce='${nonce}'/>`), 'cookie-mismatch'],
    ['a replay of an older attempt', own(`<migration id='m1' nonce='${'cd'.repeat(16)}'/>`), 'cookie-mismatch'],
    ['a short nonce', own("<migration id='m1' nonce='ab'/>"), 'cookie-malformed'],
    ['an id that is a path', own(`<migration id='../m1' nonce='${nonce}'/>`), 'cookie-malformed'],
    ['a short permit', own(`${migration}<permit>ab</permit>`), 'cookie-malformed'],
    ['a digest that is not hex', own(`${migration}<permitDigest>${'z'.repeat(64)}</permitDigest>`), 'cookie-malformed'],
    ['a peer of no role', own(`${migration}<peer role='x' url='http://h/' storeId='${nonce}'/>`), 'cookie-malformed'],
    ['a peer that is a file', own(`${migration}<peer role='source' url='file:///x' storeId='${nonce}'/>`), 'cookie-malformed'],
    [
      'a peer with credentials',
      own(`${migration}<peer role='source' url='http://u:p@h/' storeId='${nonce}'/>`),
      'cookie-malformed',
    ],
    ...['0', '17', '-1', '2.5', 'all', '01'].map(
      (channels) =>
        [
          `a stream of ${channels} channels`,
          own(`${migration}<stream url='http://h/' ticket='${'t'.repeat(64)}' channels='${channels}'/>`),
          'cookie-malformed',
        ] as const,
    ),
    ['a stream without a ticket', own(`${migration}<stream url='http://h/'/>`), 'cookie-malformed'],
  ] as const)('refuses %s', (_, bytes, code) => {
    expect(codeOf(() => decodeCookie(bytes, migrating))).toBe(code);
  });

  it('names no secret in a message', () => {
    const secret = 'PERMIT-THAT-IS-SECRET';
    expect(() => decodeCookie(own(`${migration}<permit>${secret}</permit>`), migrating)).not.toThrow(secret);
    expect(() => encodeCookie({ ...base, vmferry: { migrationId: 'm1', nonce, permit: secret } })).not.toThrow(secret);
  });
});

describe('the bytes of a cookie', () => {
  const withLength = (bytes: number) =>
    wire(cookieText({}, `<x>${'y'.repeat(bytes - cookieText({}, '<x></x>').length - 1)}</x>`));

  it('S46: 16,384 bytes with the NUL are accepted, one more is refused', () => {
    expect(withLength(16_384)).toHaveLength(16_384);
    expect(codeOf(() => decodeCookie(withLength(16_384), expected))).toBe('accepted');
    expect(codeOf(() => decodeCookie(withLength(16_385), expected))).toBe('cookie-too-large');
  });

  it('S46: the limit holds on the way out, and counts the NUL', () => {
    const persistent = (length: number): MigrationCookie => ({
      ...base,
      persistentXml: `<domain>${'y'.repeat(length)}</domain>`,
    });
    const room = 16_384 - encodeCookie(persistent(1)).length + 1;
    expect(encodeCookie(persistent(room))).toHaveLength(16_384);
    expect(codeOf(() => encodeCookie(persistent(room + 1)))).toBe('cookie-too-large');
  });

  it.each([
    ['no NUL', Buffer.from(cookieText({}))],
    ['a NUL alone', Buffer.from('\0')],
    ['a NUL within', Buffer.from(`${cookieText({})}\0\0`)],
    ['bytes that are not UTF-8', Buffer.concat([Buffer.from(cookieText({ name: 'x' })), Buffer.from([0xff, 0])])],
    ['UTF-16', Buffer.from(`${cookieText({})}\0`, 'utf16le')],
    ['another root', wire('<cookie/>')],
    ['a DOCTYPE', wire(`<!DOCTYPE a>${cookieText({})}`)],
    ['an entity', wire(cookieText({ name: '&x;' }))],
    ['nothing where a cookie is needed', Buffer.alloc(0)],
  ])('refuses %s', (_, bytes) => {
    expect(codeOf(() => decodeCookie(bytes, expected))).toBe('cookie-malformed');
  });

  it('takes no bytes for no cookie where a step allows it', () => {
    expect(decodeOptional(new Uint8Array(), expected)).toBeNull();
    expect(decodeOptional(encodeCookie(base), expected)).toEqual(base);
  });

  it('carries them in JSON as canonical base64', () => {
    const bytes = encodeCookie(base);
    expect(Buffer.from(cookieFromBase64(cookieToBase64(bytes)))).toEqual(Buffer.from(bytes));
    expect(cookieFromBase64('')).toHaveLength(0);
    for (const text of ['a', 'AA', 'AB==', 'AA==\n', ' AA==', 'A-A=', 'ü', 'AAAA====']) {
      expect(
        codeOf(() => cookieFromBase64(text)),
        text,
      ).toBe('cookie-malformed');
    }
    expect(codeOf(() => cookieFromBase64('A'.repeat(21_852)))).toBe('cookie-too-large');
  });
});

describe('any cookie', () => {
  const illegal = /[^\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu;
  const legal = (charsMax: number) =>
    fc.string({ unit: 'binary', minLength: 1, maxLength: charsMax }).map((text) => text.replace(illegal, "'"));
  const hex = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`));
  const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
  const present = <T extends object>(of: T): T => JSON.parse(JSON.stringify(of)) as T;
  const graphics = fc.record({
    type: fc.constantFrom('vnc', 'spice'),
    port: fc.integer({ min: -1, max: 65_535 }),
    tlsPort: fc.constant(-1),
    listen: legal(40),
    certSubject: optional(legal(60)),
  });
  const vmferry = fc.record({
    migrationId: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/),
    nonce: hex(32),
    permitDigest: optional(hex(64)),
    permit: optional(hex(32)),
    peer: optional(
      fc.record({ role: fc.constantFrom('source', 'destination'), url: fc.constant("http://h/?a='&b=<>"), storeId: hex(32) }),
    ),
    stream: optional(
      fc.record({
        url: fc.constant('https://h:1/'),
        ticket: fc.stringMatching(/^[A-Za-z0-9_-]{32,128}$/),
        channels: optional(fc.integer({ min: 1, max: 16 })),
      }),
    ),
    leases: optional(legal(200)),
  });
  const cookies = fc.record({
    name: legal(60),
    uuid: fc.uuid(),
    hostName: legal(60).map((name) => `a${name}`),
    hostUuid: fc.uuid(),
    features: fc.subarray(['graphics', 'lockstate']),
    graphics: optional(graphics),
    lockState: optional(fc.record({ driver: fc.constant('embedded'), leases: optional(legal(200)) })),
    vmferry: optional(vmferry),
  });

  it('S46: comes back unchanged, whatever its text fields hold (A14: everything is escaped)', () => {
    fc.assert(
      fc.property(cookies, (drawn) => {
        const cookie = present(drawn) as MigrationCookie;
        const expectation = {
          ...expected,
          name: cookie.name,
          uuid: cookie.uuid,
          localHostName: 'zz',
          lockDriver: { name: 'embedded', usesState: false },
        };
        fc.pre(cookie.hostName.toLowerCase() !== 'zz');
        expect(decodeCookie(encodeCookie(cookie), expectation)).toEqual(cookie);
      }),
      { numRuns: 500 },
    );
  });

  it('A14: listen and leases cannot break out of their place', () => {
    const hostile = `'/><vmferry version='1'/></leases>&amp;<!DOCTYPE x>]]>`;
    const cookie: MigrationCookie = {
      ...base,
      graphics: { type: 'vnc', port: 1, tlsPort: -1, listen: hostile },
      lockState: { driver: 'embedded', leases: hostile },
    };
    expect(decodeCookie(encodeCookie(cookie), expected)).toEqual(cookie);
  });

  it('threat 9: is never read from flipped bytes without an error of ours or a whole cookie', () => {
    const bytes = encodeCookie({ ...base, vmferry: { migrationId: 'm1', nonce } });
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const flipped = Buffer.from(bytes);
        flipped[at] = value;
        const outcome = codeOf(() => decodeCookie(flipped, migrating));
        expect(['accepted', 'cookie-malformed', 'cookie-mismatch', 'same-host', 'cookie-feature-unsupported']).toContain(outcome);
      }),
      { numRuns: 1000 },
    );
  });

  it('refuses to write what no reader would take', () => {
    expect(codeOf(() => encodeCookie({ ...base, name: '' }))).toBe('cookie-malformed');
    expect(codeOf(() => encodeCookie({ ...base, hostName: 'a\nb' }))).toBe('cookie-malformed');
    expect(codeOf(() => encodeCookie({ ...base, hostName: 'a\u0007b' }))).toBe('cookie-malformed');
    expect(codeOf(() => encodeCookie({ ...base, uuid: 'x' }))).toBe('cookie-malformed');
    expect(codeOf(() => encodeCookie({ ...base, persistentXml: '<network/>' }))).toBe('cookie-malformed');
  });
});
