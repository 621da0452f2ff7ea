import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatTcpUri, parseTcpUri } from './tcp-uri.js';
import { agentUrl, migrationUri, performUri, streamUri } from './urls.js';

const host = fc.oneof(
  fc.domain().filter((name) => !/[0-9]$/.test(name)),
  fc.ipV4().filter((address) => /^(1[0-9]|[1-9]\d)\./.test(address) && !address.startsWith('100.')),
  fc.constantFrom('localhost', 'hostB', 'host-b.example', '[2001:db8::7]', '[::1]'),
);
const port = fc.integer({ min: 1, max: 65_535 });

const wrong = [
  'tcp:',
  'tcp://',
  'tcp:///h:1',
  'tcp:/h:1',
  'tcp::49152',
  'tcp:h:',
  'tcp:h:0',
  'tcp:h:01',
  'tcp:h:65536',
  'tcp:h:x',
  'tcp:h:49152:1',
  'tcp:h:49152,ipv4=on',
  'tcp:h,to=9',
  'tcp:h/',
  'tcp:h:1/x',
  'tcp:h?x',
  'tcp:h#x',
  'tcp:u@h:1',
  'tcp:h:1\r\nx',
  'tcp: h',
  'tcp:0x7f000001:1',
  'tcp:127.1:1',
  'tcp:0.0.0.0:49152',
  'tcp:[::]:49152',
  'tcp:169.254.169.254:80',
  'tcp:[::ffff:127.0.0.1]:1',
  'tcp:::1:49152',
  'tcp:[fe80::1%25eth0]:1',
  'TCP:h:1',
  'tcp:tcp:h:1',
  'unix:/run/x',
  'exec:true',
  'http://h:1',
  '',
];

describe('S32: a tcp: URI', () => {
  it('is read as what it was made of, in either spelling', () => {
    fc.assert(
      fc.property(host, port, (name, number) => {
        const uri = formatTcpUri(name, number);
        expect(parseTcpUri(uri)).toEqual({ host: name, port: number });
        expect(parseTcpUri(uri.replace('tcp:', 'tcp://'))).toEqual({ host: name, port: number });
        expect(parseTcpUri(`tcp:${name}`)).toEqual({ host: name, port: null });
        expect([migrationUri, performUri].map((schema) => schema.safeParse(uri).success)).toEqual([true, true]);
        expect([agentUrl, streamUri].map((schema) => schema.safeParse(uri).success)).toEqual([false, false]);
      }),
    );
  });

  it('says nothing but a host and a port, whatever text it is read from', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
        const tcp = parseTcpUri(`tcp:${text}`);
        if (typeof tcp === 'string') return;
        expect(tcp.host).toMatch(/^(\[[0-9A-Fa-f:]+\]|[0-9A-Za-z_.-]+)$/);
        expect(`tcp:${text}`.replace('tcp://', 'tcp:')).toBe(
          tcp.port === null ? `tcp:${tcp.host}` : formatTcpUri(tcp.host, tcp.port),
        );
      }),
    );
  });

  it.each(wrong)('%j is none', (uri) => {
    expect(typeof parseTcpUri(uri)).toBe('string');
    if (!uri.startsWith('http')) expect(migrationUri.safeParse(uri).success).toBe(false);
    expect(performUri.safeParse(uri).success).toBe(false);
  });

  it('names its port where a stream is to be sent', () => {
    expect(performUri.safeParse('tcp:host').success).toBe(false);
  });
});
