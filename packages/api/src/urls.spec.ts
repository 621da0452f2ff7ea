import { describe, expect, it } from 'vitest';
import { isRefusedAddress } from './addresses.js';
import { agentUrl, migrationUri, reachedBy, streamUri } from './urls.js';

const accepts = (schema: { safeParse(value: unknown): { success: boolean } }, url: string) => schema.safeParse(url).success;

/** What a caller may send instead of an address; the agents connect to none of it, and QEMU never sees it. */
const hostileUris = [
  '',
  'host',
  '//host',
  'exec:cat /etc/shadow > /tmp/x',
  'exec:/bin/sh',
  'fd:7',
  'fd:vmferry-migration',
  'file:///etc/passwd',
  'file:/var/lib/x,offset=0',
  'unix:/run/x.sock',
  'unix:///run/x.sock',
  'rdma:192.0.2.7:1',
  'vsock:2:1234',
  'defer',
  'ftp://192.0.2.7',
  'gopher://192.0.2.7:70',
  'javascript:alert(1)',
  'data:text/plain,x',
  'http:192.0.2.7',
  'http:/192.0.2.7',
  'http:///192.0.2.7',
  'http://',
  'http://:7802',
  'http://@192.0.2.7',
  'http://user@192.0.2.7:7802',
  'http://user:pw@192.0.2.7:7802',
  'http://192.0.2.7:7802@evil.example',
  'http://192.0.2.7\\@evil.example',
  'http://192.0.2.7:7802?x=1',
  'http://192.0.2.7:7802#x',
  'http://192.0.2.7:0',
  'http://192.0.2.7:65536',
  'http://192.0.2.7:7802:7802',
  'http://192.0.2.7:-1',
  'http://192.0.2.7:exec',
  'http://192.0.2.7:7802\r\nHost: evil.example',
  'http://192.0.2.7\n:7802',
  'http://192.0.2.7:7802 ',
  ' http://192.0.2.7:7802',
  'http://192.0.2.7\t',
  'http://192.0.2.7\0',
  'http://169.254.169.254',
  'http://169.254.169.254:80',
  'http://0xa9fea9fe',
  'http://2852039166',
  'http://0251.0376.0251.0376',
  'http://127.1:7802',
  'http://0x7f000001:7802',
  'http://2130706433',
  'http://127.0.0.1.:7802',
  'http://0.0.0.0:7802',
  'http://0:7802',
  'http://255.255.255.255',
  'http://224.0.0.1',
  'http://100.100.100.200',
  'http://[::]:7802',
  'http://[::ffff:127.0.0.1]:7802',
  'http://[::ffff:7f00:1]:7802',
  'http://[::ffff:a9fe:a9fe]',
  'http://[0:0:0:0:0:ffff:a9fe:a9fe]',
  'http://[64:ff9b::a9fe:a9fe]',
  'http://[fd00:ec2::254]',
  'http://[fe80::1]:7802',
  'http://[fe80::1%25eth0]:7802',
  'http://[ff02::1]',
  'http://[::1',
  'http://::1:7802',
  'http://h%6fst',
  'http://hőst.example',
  'http://ⓗost',
  'http://-host',
  'http://host..',
  `http://${'h'.repeat(500)}`,
  'http://192.0.2.7/../etc',
  'http://192.0.2.7/%2e%2e/x',
  'http://192.0.2.7/a b',
];

describe('S32: an address that a caller gives', () => {
  it.each(hostileUris)('threat 6: is refused in each field that takes one: %j', (uri) => {
    for (const schema of [agentUrl, migrationUri, streamUri]) {
      expect(accepts(schema, uri)).toBe(false);
      expect(accepts(schema, `${uri}/v1/migrations/m1/stream`)).toBe(false);
    }
  });

  it.each([
    'http://192.0.2.7',
    'http://192.0.2.7:7802',
    'http://host-b.example:1',
    'http://[2001:db8::7]:7802',
    'http://127.0.0.1:7802',
  ])('%s is one of the destination, and its stream is reached by it', (uri) => {
    expect([accepts(agentUrl, uri), accepts(migrationUri, uri)]).toEqual([true, true]);
    const stream = reachedBy('http://10.0.0.2:7802/v1/migrations/m1/stream', uri);
    expect(stream).toBe(`${/:\d+$/.test(uri) ? uri : `${uri}:7802`}/v1/migrations/m1/stream`);
    expect(accepts(streamUri, stream)).toBe(true);
  });

  it('the management URL is no stream, and a stream no management URL', () => {
    const stream = 'http://10.0.0.2:7802/v1/migrations/m1/stream';
    expect([accepts(streamUri, 'http://10.0.0.2:7802'), accepts(streamUri, 'http://10.0.0.2:7802/')]).toEqual([false, false]);
    expect([accepts(agentUrl, stream), accepts(migrationUri, stream)]).toEqual([false, false]);
    expect([accepts(agentUrl, 'https://h.example/vmferry'), accepts(migrationUri, 'http://h.example/vmferry')]).toEqual([
      true,
      false,
    ]);
  });

  it('threat 19: a stream that speaks TLS is reached by TLS, whatever the caller writes', () => {
    const stream = 'https://10.0.0.2:7803/v1/streams/s/attach';
    expect([accepts(streamUri, stream), accepts(migrationUri, 'https://h.example')]).toEqual([true, true]);
    expect(reachedBy(stream, 'http://h.example')).toBe('https://h.example:7803/v1/streams/s/attach');
    expect(reachedBy('http://10.0.0.2:7803/v1/x', 'https://h.example:1')).toBe('http://h.example:1/v1/x');
  });
});

it.each([
  ['169.254.169.254', true],
  ['fe80::1', true],
  ['::ffff:10.0.0.1', true],
  ['0.0.0.0', true],
  ['10.0.0.1', false],
  ['127.0.0.1', false],
  ['::1', false],
  ['host', false],
] as const)('S32: nobody connects to %s: %s', (address, refused) => {
  expect(isRefusedAddress(address)).toBe(refused);
});
