import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { rolesOf } from './roles.js';
import { TestAuthority } from './testing/index.js';

const authority = new TestAuthority();
afterAll(() => authority.remove());

const rolesIn = (names: readonly string[], roles: Parameters<TestAuthority['issue']>[0] = []) => [
  ...rolesOf(new X509Certificate(readFileSync(authority.issue(roles, { names }).cert))),
];

describe('the roles of a certificate', () => {
  it('are the URIs that it names, one or more', () => {
    expect(rolesIn(['DNS:host-a', 'IP:::1'], ['relay'])).toEqual(['relay']);
    expect(rolesIn(['DNS:host-a'], ['agent', 'relay'])).toEqual(['relay', 'agent']);
    expect(rolesIn(['DNS:host-a'])).toEqual([]);
  });

  it('are no other URIs, and no other kinds of names', () => {
    for (const name of [
      'URI:vmferry://role/relay/',
      'URI:vmferry://role/Relay',
      'URI:vmferry://role/relay2',
      'URI:https://role/relay',
      'DNS:vmferry://role/relay',
      'email:vmferry://role/relay',
    ])
      expect(rolesIn([name]), name).toEqual([]);
  });

  it.each([
    'DNS:"host, URI:vmferry://role/relay"',
    'DNS:host, othername:<unsupported>, DNS:"x\\", URI:vmferry://role/relay, DNS:y"',
    'DNS:host" URI:vmferry://role/relay',
    'DNS:"unclosed, URI:vmferry://role/relay',
  ])('a name cannot pretend to be two: %s', (subjectAltName) => {
    expect([...rolesOf({ subjectAltName })]).toEqual([]);
  });

  it('are read beside names that Node has to quote', () => {
    expect([...rolesOf({ subjectAltName: 'DNS:"a, b", URI:vmferry://role/agent' })]).toEqual(['agent']);
  });
});
