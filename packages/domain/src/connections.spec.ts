import { describe, expect, it } from 'vitest';
import { actualBridge, actualType, actualVirtualPort } from './actual-network.js';
import { checkAbi } from './check-abi.js';
import { type Connection, generatedDev, tapsOf, withConnections, withoutConnections } from './connections.js';
import type { DomainDefinition } from './definition.js';
import type { InterfaceDevice, NetworkBackend } from './devices.js';
import { withDevices } from './examples.spec-helper.js';
import { formatDomain } from './format.js';
import { parseDomain } from './parse.js';

const mac = "<mac address='52:54:00:00:00:01'/>";
const port = "<virtualport type='802.1Qbg'><parameters managerid='11'/></virtualport>";
const blue = (inner = '') => `<interface type='network'>${mac}<source network='blue'/>${inner}<vendor/></interface>`;
const user = "<interface type='user'><mac address='52:54:00:00:00:02'/></interface>";

const parse = (devices: string) => parseDomain(withDevices(devices));

function interfacesOf({ devices }: DomainDefinition): InterfaceDevice[] {
  return devices.filter((device) => device.t === 'interface');
}

function connected(devices: string, connection: Connection): DomainDefinition {
  return withConnections(parse(devices), ({ mac: of }) => (of.endsWith('01') ? connection : {}));
}

describe('what a host has decided', () => {
  const targetDev = generatedDev('0123456789abcdef');

  it('stands in the document, is read back, and changes nothing else', () => {
    const definition = connected(user + blue(port), { actual: { type: 'bridge', bridge: 'br0' }, targetDev });
    const [first, second] = interfacesOf(definition);
    expect(first).toEqual(interfacesOf(parse(user))[0]);
    expect(second).toMatchObject({ mac: '52:54:00:00:00:01', targetDev: 'vnet-0123456789' });
    expect(second && [actualType(second), actualBridge(second)]).toEqual(['bridge', 'br0']);
    expect(parseDomain(formatDomain(definition))).toEqual(definition);
    expect(withoutConnections(definition)).toEqual(parse(user + blue(port)));
  });

  it.each<[string, NetworkBackend]>([
    ['a bridge', { type: 'bridge', bridge: 'br0' }],
    ['a device', { type: 'direct', directDev: 'eth1', directMode: 'passthrough' }],
    ['an empty virtual port', { type: 'direct', directDev: 'eth1', directMode: 'vepa', virtualPort: { parameters: {} } }],
    [
      'a virtual port and limits',
      {
        type: 'direct',
        directDev: 'eth1',
        directMode: 'private',
        virtualPort: { type: '802.1Qbh', parameters: { profileid: 'a <b>' } },
        bandwidth: { inbound: { average: 5, peak: 6, burst: 7 }, outbound: { average: 1 } },
      },
    ],
  ])('S2: %s is answered by the accessors as it was resolved', (_, actual) => {
    const [device] = interfacesOf(connected(blue(), { actual }));
    expect(device?.actualBackend).toEqual(actual);
    expect(device?.configuredBackend).toEqual(interfacesOf(parse(blue()))[0]?.configuredBackend);
  });

  it('S3: a virtual port that is cleared from it leaves that of the interface, and the interface, as they were', () => {
    const cleared = { type: 'direct', directDev: 'eth1', directMode: 'vepa' } as const;
    const before = connected(blue(port), { actual: { ...cleared, virtualPort: { parameters: {} } } });
    const after = withConnections(before, () => ({ actual: cleared }));
    const [device] = interfacesOf(after);
    expect(device && actualVirtualPort(device)).toBeUndefined();
    expect(device?.configuredBackend.virtualPort).toEqual({ type: '802.1Qbg', parameters: { managerid: '11' } });
    expect(withoutConnections(after)).toEqual(withoutConnections(before));
  });

  it('is replaced by what the next host decides', () => {
    const there = withConnections(connected(blue(), { actual: { type: 'bridge', bridge: 'br0' }, targetDev }), () => ({
      actual: { type: 'bridge', bridge: 'br7' },
      targetDev: generatedDev('ffffffffffffffff'),
    }));
    const [device] = interfacesOf(there);
    expect(device).toMatchObject({ targetDev: 'vnet-ffffffffff', actualBackend: { type: 'bridge', bridge: 'br7' } });
    expect(formatDomain(there).match(/<(actual|target)\b/g)).toHaveLength(2);
  });

  it('is nothing that the guest sees', () => {
    const definition = connected(blue(), { actual: { type: 'bridge', bridge: 'br0' }, targetDev });
    expect(checkAbi(parse(blue()), definition)).toEqual([]);
  });

  it('does not take the name away that the author has given', () => {
    const named = blue("<target dev='tap7'/>");
    expect(interfacesOf(connected(named, { targetDev }))[0]?.targetDev).toBe('tap7');
    expect(withoutConnections(parse(named))).toEqual(parse(named));
  });

  it.each(['vnet0', 'vnet12', 'macvtap3', 'vnet-0123456789'])('a name that a host has given is left behind: %s', (dev) => {
    expect(withoutConnections(parse(blue(`<target dev='${dev}'/>`)))).toEqual(parse(blue()));
  });

  it('taps are all interfaces but those of QEMU itself', () => {
    const { length } = tapsOf(parse(`${user}${blue()}<interface type='ethernet'><mac address='52:54:00:00:00:03'/></interface>`));
    expect(length).toBe(2);
    expect(tapsOf(connected(user + blue(), { actual: { type: 'user' } }))).toEqual([]);
  });
});
