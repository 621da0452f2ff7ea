import { expect, it } from 'vitest';
import { Listening, type Taker } from './listening.js';

const own = ['127.0.0.1', '::1', '10.0.0.2', '2001:db8::2'];
const accepts = (agent: string, relay: string | null, address: string, taker: Taker, qemu = '127.0.0.1') => {
  try {
    new Listening({ agent, relay, qemu, addresses: () => own }).refuseUnlessListening(address, taker);
    return true;
  } catch {
    return false;
  }
};

it.each([
  ['10.0.0.2', null, '10.0.0.2', 'agent', true],
  ['10.0.0.2', null, '10.0.0.3', 'agent', false],
  ['127.0.0.1', null, '10.0.0.2', 'agent', false],
  ['0.0.0.0', null, '10.0.0.2', 'agent', true],
  ['0.0.0.0', null, '10.0.0.9', 'agent', false],
  ['0.0.0.0', null, '2001:db8::2', 'agent', false],
  ['0.0.0.0', null, '0.0.0.0', 'agent', true],
  ['::', null, '10.0.0.2', 'agent', true],
  ['::', null, '2001:db8:0:0::2', 'agent', true],
  ['::', null, '2001:db8::3', 'agent', false],
  ['2001:db8::2', null, '2001:DB8:0::2', 'agent', true],
  ['localhost', null, '127.0.0.1', 'agent', false],
  ['10.0.0.2', '127.0.0.1', '10.0.0.2', 'relay', false],
  ['127.0.0.1', '10.0.0.2', '10.0.0.2', 'relay', true],
] as const)('S32: an agent on %s with a relay on %s takes a stream at %s, %s: %s', (agent, relay, address, transport, taken) => {
  expect(accepts(agent, relay, address, transport)).toBe(taken);
});

it.each([
  ['127.0.0.1', '127.0.0.1', true],
  ['127.0.0.1', '10.0.0.2', false],
  ['0.0.0.0', '10.0.0.2', true],
  ['0.0.0.0', '10.0.0.9', false],
] as const)('S32: QEMUs that may listen on %s take a stream at %s: %s', (qemu, address, taken) => {
  expect(accepts('0.0.0.0', null, address, 'qemu', qemu)).toBe(taken);
});
