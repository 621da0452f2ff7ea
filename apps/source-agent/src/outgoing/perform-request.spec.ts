import { Peers } from '@vmferry/agent';
import { type CookiePeer, type CookieStream, cookieToBase64, encodeCookie } from '@vmferry/cookie';
import { describe, expect, it } from 'vitest';
import type { SourceContext } from '../context.js';
import { silentLog } from '../testing/spec-parts.js';
import { acceptPerform } from './perform-request.js';

const key = { id: 'm1', nonce: '0'.repeat(32) };
const domain = { name: 'web', uuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8' };
const peer: CookiePeer = { role: 'destination', url: 'http://10.0.0.2:7802', storeId: 'b'.repeat(32) };
const stream: CookieStream = { url: 'http://10.0.0.2:7802/v1/migrations/m1/stream', ticket: 't'.repeat(43) };

/** The parts of a context that this reads. */
const contextWith = (peers: string[], relay: { readonly baseUrl: string } | null) =>
  ({
    relay,
    log: silentLog,
    host: { hostName: 'a', hostUuid: '6ba7b811-9dad-11d1-80b4-00c04fd430c8', storeId: 'a'.repeat(32) },
    peers: new Peers({ peer: peers }),
  }) as unknown as SourceContext;

const cookieWith = (change: { peer?: Partial<CookiePeer>; stream?: Partial<CookieStream> } = {}) =>
  cookieToBase64(
    encodeCookie({
      ...domain,
      hostName: 'b',
      hostUuid: '6ba7b812-9dad-11d1-80b4-00c04fd430c8',
      features: [],
      vmferry: {
        migrationId: key.id,
        nonce: key.nonce,
        peer: { ...peer, ...change.peer },
        stream: { ...stream, ...change.stream },
      },
    }),
  );

const accept = (
  body: { uri?: string; cookie?: string },
  peers: string[] = [],
  o: { offline?: boolean; channels?: number; relay?: { readonly baseUrl: string } } = {},
) =>
  acceptPerform(
    contextWith(peers, o.relay ?? null),
    { domain, key, protocol: 'v3', offline: o.offline ?? false, channels: o.channels ?? null },
    { nonce: key.nonce, cookie: cookieWith(), ...body },
  );

describe('S32: the stream of a Perform', () => {
  it('is the one of the cookie, or the same under another name', () => {
    expect(accept({}).stream).toEqual(stream);
    const uri = 'http://fast.example:9/v1/migrations/m1/stream';
    expect(accept({ uri }).stream).toEqual({ ...stream, url: uri });
  });

  it('threat 19: speaks TLS where the relay of this host does too, and is not asked for in another way', () => {
    const url = 'https://10.0.0.2:7803/v1/streams/6ba7b810-9dad-11d1-80b4-00c04fd430c8/attach';
    const cookie = cookieWith({ stream: { url } });
    const refused = expect.objectContaining({ code: 'invalid-argument' });
    expect(() => accept({ cookie })).toThrow(refused);
    const relay = { baseUrl: 'https://127.0.0.1:7803' };
    expect(accept({ cookie }, [], { relay }).stream?.url).toBe(url);
    expect(() => accept({ cookie, uri: url.replace('https', 'http') }, [], { relay })).toThrow(refused);
  });

  it.each([
    'http://10.0.0.2:7802/v1/migrations/m2/stream',
    'http://10.0.0.2:7802/v1/streams/6ba7b810-9dad-11d1-80b4-00c04fd430c8/attach',
    'http://10.0.0.2:7802/v1/migrations/m1/stream/',
  ])('is not another one: %s', (uri) => {
    expect(() => accept({ uri })).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
  });

  it.each([
    'http://169.254.169.254/v1/migrations/m1/stream',
    'http://127.1/v1/migrations/m1/stream',
    'http://[::ffff:7f00:1]/v1/migrations/m1/stream',
    'http://10.0.0.2:7802/',
    'http://10.0.0.2:7802/v1/migrations/m1/stream?x=1',
  ])('is not where nobody connects to, in a cookie neither: %s', (url) => {
    expect(() => accept({ cookie: cookieWith({ stream: { url } }) })).toThrow(
      expect.objectContaining({ code: 'cookie-malformed' }),
    );
  });

  it.each(['http://169.254.169.254', 'http://0.0.0.0:7802', 'http://10.0.0.2/v1/domains'])(
    'the record is not asked for at such an address: %s',
    (url) => {
      expect(() => accept({ cookie: cookieWith({ peer: { url } }) })).toThrow(
        expect.objectContaining({ code: 'cookie-malformed' }),
      );
    },
  );

  it('with a list of peers goes to one of them or to the host of the record', () => {
    const uri = 'http://fast.example:9/v1/migrations/m1/stream';
    expect(accept({}, ['http://10.0.0.2:7802']).stream).toEqual(stream);
    expect(accept({ uri }, ['http://10.0.0.2:7802', 'http://fast.example']).stream?.url).toBe(uri);
    expect(() => accept({ uri }, ['http://10.0.0.2:7802'])).toThrow(expect.objectContaining({ code: 'forbidden' }));
    const elsewhere = cookieWith({ stream: { url: 'http://evil.example/v1/migrations/m1/stream' } });
    expect(() => accept({ cookie: elsewhere }, ['http://10.0.0.2:7802'])).toThrow(expect.objectContaining({ code: 'forbidden' }));
  });
});

it('S31: an offline one names the record and needs no stream; nothing may be said of one', () => {
  expect(accept({}, [], { offline: true })).toMatchObject({ peer, stream: null });
  const uri = 'http://fast.example:9/v1/migrations/m1/stream';
  expect(() => accept({ uri }, [], { offline: true })).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
});

it('a parallel one takes the family that it was begun for, and no other', () => {
  const cookie = cookieWith({ stream: { channels: 4 } });
  expect(accept({ cookie }, [], { channels: 4 }).stream).toEqual({ ...stream, channels: 4 });
  const refused = expect.objectContaining({ code: 'cookie-malformed', message: expect.stringMatching(/was begun for/) });
  expect(() => accept({ cookie }, [], { channels: 2 })).toThrow(refused);
  expect(() => accept({ cookie })).toThrow(refused);
  expect(() => accept({}, [], { channels: 4 })).toThrow(refused);
});
