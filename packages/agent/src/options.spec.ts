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
      network: [],
      displayPorts: { first: 5_900, last: 65_535 },
    });
    expect(parse([...required, '--network', 'a=bridge:br0', '--network', 'b=direct:eth0']).network).toHaveLength(2);
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
    ['--security-driver', 'selinux,dac'],
    ['--security-driver', 'none,selinux'],
    ['--log-level', 'loud'],
    ['--audit-sink', 'file'],
    ['--audit-sink', 'kernel,'],
    ['--display-ports', '5899-5999'],
    ['--display-ports', '5999-5900'],
    ['--display-ports', '5900-65536'],
    ['--display-ports', '5900'],
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

  it('take audit sinks one by one or in one word', () => {
    expect(parse(required).auditSink).toEqual([]);
    expect(parse([...required, '--audit-sink', 'kernel', '--audit-sink', 'syslog']).auditSink).toEqual(['kernel', 'syslog']);
    expect(parse([...required, '--audit-sink', 'kernel,syslog']).auditSink).toEqual(['kernel', 'syslog']);
  });

  it('take a range of ports with both its ends', () => {
    expect(parse([...required, '--display-ports', '5950-5950']).displayPorts).toEqual({ first: 5_950, last: 5_950 });
  });

  it('name the user of QEMU in digits, and never root', () => {
    expect(parseUser('107:109')).toEqual({ uid: 107, gid: 109 });
    expect(parseUser(undefined)).toBeNull();
    for (const wrong of ['0:0', 'nobody', '107', '-1:3', '107:109:1']) expect(() => parseUser(wrong)).toThrow(/UID:GID/);
  });
});
