import { describe, expect, it } from 'vitest';
import { type AgentOptions, agentCommand } from './index.js';
import { parseUser } from './options.js';

const required = ['--state-dir', '/s', '--runtime-dir', '/r'];

function parse(args: readonly string[]): AgentOptions {
  return agentCommand('spec-agent', 'for a spec')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .parse([...args], { from: 'user' })
    .opts();
}

describe('the options of an agent', () => {
  it('have defaults for all but the two folders', () => {
    expect(parse(required)).toMatchObject({
      stateDir: '/s',
      runtimeDir: '/r',
      listen: '127.0.0.1:0',
      lockDriver: 'embedded',
      logLevel: 'info',
      sessionTtlSeconds: 15,
      retryMs: 500,
      peer: [],
    });
    expect(() => parse([])).toThrow(/state-dir/);
  });

  it.each([
    ['--session-ttl-seconds', '0'],
    ['--session-ttl-seconds', '301'],
    ['--session-ttl-seconds', '1.5'],
    ['--retry-ms', '9'],
    ['--retry-ms', 'x'],
    ['--lock-driver', 'lockd'],
    ['--sanlock-host-id', '0'],
    ['--sanlock-host-id', '2001'],
    ['--log-level', 'loud'],
  ])('refuse %s %s', (flag, value) => {
    expect(() => parse([...required, flag, value])).toThrow();
  });

  it('take peers one by one or in one word, as from the environment', () => {
    expect(parse([...required, '--peer', 'http://b:7801', '--peer', 'http://b:7802']).peer).toEqual([
      'http://b:7801',
      'http://b:7802',
    ]);
    expect(parse([...required, '--peer', 'http://b:7801,http://b:7802']).peer).toEqual(['http://b:7801', 'http://b:7802']);
  });

  it('name the user of QEMU in digits, and never root', () => {
    expect(parseUser('107:109')).toEqual({ uid: 107, gid: 109 });
    expect(parseUser(undefined)).toBeNull();
    for (const wrong of ['0:0', 'nobody', '107', '-1:3', '107:109:1']) expect(() => parseUser(wrong)).toThrow(/UID:GID/);
  });
});
