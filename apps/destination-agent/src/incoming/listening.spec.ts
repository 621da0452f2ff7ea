import { expect, it } from 'vitest';
import { Listening } from './listening.js';

const own = ['127.0.0.1', '::1', '10.0.0.2', '2001:db8::2'];
const accepts = (agent: string, relay: string | null, address: string, transport: 'direct' | 'tunnelled') => {
  try {
    new Listening({ agent, relay, addresses: () => own }).refuseUnlessListening(address, transport);
    return true;
  } catch {
    return false;
  }
};

it.each([
  ['10.0.0.2', null, '10.0.0.2', 'direct', true],
  ['10.0.0.2', null, '10.0.0.3', 'direct', false],
  ['127.0.0.1', null, '10.0.0.2', 'direct', false],
  ['0.0.0.0', null, '10.0.0.2', 'direct', true],
  ['0.0.0.0', null, '10.0.0.9', 'direct', false],
  ['0.0.0.0', null, '2001:db8::2', 'direct', false],
  ['0.0.0.0', null, '0.0.0.0', 'direct', true],
  ['::', null, '10.0.0.2', 'direct', true],
  ['::', null, '2001:db8:0:0::2', 'direct', true],
  ['::', null, '2001:db8::3', 'direct', false],
  ['2001:db8::2', null, '2001:DB8:0::2', 'direct', true],
  ['localhost', null, '127.0.0.1', 'direct', false],
  ['10.0.0.2', '127.0.0.1', '10.0.0.2', 'tunnelled', false],
  ['127.0.0.1', '10.0.0.2', '10.0.0.2', 'tunnelled', true],
] as const)('S32: an agent on %s with a relay on %s takes a stream at %s, %s: %s', (agent, relay, address, transport, taken) => {
  expect(accepts(agent, relay, address, transport)).toBe(taken);
});
