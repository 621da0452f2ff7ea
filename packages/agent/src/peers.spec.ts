import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Peers } from './peers.js';

const folder = mkdtempSync(join(tmpdir(), 'vp-'));
const tokenFile = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

describe('the peers of an agent', () => {
  it('are shown nothing, and may be any, without a token', () => {
    const peers = new Peers({ peer: [] });
    expect(peers.shown('http://127.0.0.1:7812')).toEqual({});
    expect(peers.own).toEqual({});
  });

  it('are shown the token only when they are listed, by scheme, host and port', () => {
    const peers = new Peers({ peer: ['http://b.example:7802/'], peerTokenFile: tokenFile('good', 'a-token-of-sixteen\n') });
    expect(peers.shown('http://b.example:7802')).toEqual({ token: 'a-token-of-sixteen' });
    expect(peers.own).toEqual({ token: 'a-token-of-sixteen' });
    for (const other of [
      'http://b.example:7803',
      'https://b.example:7802',
      'http://evil.example:7802',
      'http://b.example.evil:7802',
    ]) {
      expect(() => peers.shown(other)).toThrow(/--peer/);
    }
  });

  it('keep one client each, and no more than 256 in all', () => {
    const made: string[] = [];
    const client = new Peers({ peer: [] }).clients((url) => made.push(url));
    client('http://a');
    client('http://a');
    expect(made).toEqual(['http://a']);
    for (let index = 0; index < 256; index++) client(`http://h${index}`);
    client('http://a');
    expect(made).toHaveLength(258);
  });

  it.each(['short', 'with a blank in the middle', ''])('refuse the token %j', (text) => {
    expect(() => new Peers({ peer: [], peerTokenFile: tokenFile('bad', text) })).toThrow(/16 to 512/);
  });

  it('S32: with a list of them a stream goes to their hosts, or to that of the agent which keeps the record', () => {
    const peers = new Peers({ peer: ['http://b.example:7802'] });
    const stream = (host: string) => () =>
      peers.refuseForeignStream(`http://${host}:9/v1/streams/s/attach`, 'http://c.example:7802');
    for (const host of ['b.example', 'c.example', 'B.example']) expect(stream(host)).not.toThrow();
    for (const host of ['evil.example', 'b.example.evil', '10.0.0.1'])
      expect(stream(host)).toThrow(expect.objectContaining({ code: 'forbidden' }));
    expect(() =>
      new Peers({ peer: [] }).refuseForeignStream('http://evil.example/v1/streams/s/attach', 'http://c.example'),
    ).not.toThrow();
  });
});
