import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  actualBandwidth,
  actualBridge,
  actualDirectDev,
  actualDirectMode,
  actualType,
  actualVirtualPort,
  networkName,
} from './actual-network.js';
import type { InterfaceDevice } from './devices.js';
import { withDevices } from './examples.spec-helper.js';
import { formatDomain } from './format.js';
import { parseDomain } from './parse.js';

function interfaceOf(xml: string): InterfaceDevice {
  const [device] = parseDomain(withDevices(xml)).devices;
  if (device?.t !== 'interface') throw new Error('the example is no interface');
  return device;
}

function answers(device: InterfaceDevice): unknown[] {
  const asked = [actualType, actualBridge, actualDirectDev, actualDirectMode, actualVirtualPort, actualBandwidth];
  return asked.map((ask) => ask(device));
}

const direct = "<actual type='direct'><source dev='eth1' mode='bridge'/><virtualport type='802.1Qbg'/></actual>";
const limit = "<bandwidth><outbound average='5'/></bandwidth>";

describe('the actual network', () => {
  it('S2: a resolved network answers with what it was resolved to', () => {
    const device = interfaceOf(`<interface type='network'><source network='blue'/>${limit}${direct}</interface>`);
    expect(answers(device)).toEqual(['direct', undefined, 'eth1', 'bridge', { type: '802.1Qbg', parameters: {} }, undefined]);
    expect(networkName(device)).toBe('blue');
  });

  it.each([
    [`<interface type='network'><source network='blue'/>${limit}</interface>`, 'network'],
    ["<interface type='bridge'><source bridge='br0'/></interface>", 'bridge'],
    ["<interface type='direct'><source dev='eth0' mode='private'/></interface>", 'direct'],
    ["<interface type='user'/>", 'user'],
    ["<interface type='ethernet'/>", 'ethernet'],
  ])('S2: without an actual definition every answer is the plain field: %s', (xml, type) => {
    const device = interfaceOf(xml);
    const plain = device.configuredBackend;
    expect(plain.type).toBe(type);
    expect(answers(device)).toEqual([
      plain.type,
      plain.bridge,
      plain.directDev,
      plain.directMode,
      plain.virtualPort,
      plain.bandwidth,
    ]);
  });

  it('S2: an actual definition counts only for a network', () => {
    expect(answers(interfaceOf(`<interface type='bridge'><source bridge='br0'/>${direct}</interface>`)).slice(0, 2)).toEqual([
      'bridge',
      'br0',
    ]);
  });

  it('S2: nothing but its accessors reads the fields', () => {
    const root = fileURLToPath(new URL('../../../', import.meta.url));
    const sources = ['packages', 'apps', 'tools'].flatMap((folder) => sourcesOf(join(root, folder)));
    expect(sources.length).toBeGreaterThan(20);
    const readers = sources.filter((path) => /\b(configuredBackend|actualBackend)\b/.test(readFileSync(path, 'utf8')));
    expect(readers.map((path) => path.slice(root.length)).sort()).toEqual([
      'packages/domain/src/actual-network.ts',
      'packages/domain/src/devices.ts',
      'packages/domain/src/read-interface.ts',
    ]);
  });
});

function sourcesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ['node_modules', 'dist'].includes(entry.name) ? [] : sourcesOf(path);
    return entry.name.endsWith('.ts') && !entry.name.endsWith('.spec.ts') ? [path] : [];
  });
}

describe('the virtual port', () => {
  const port = (inner: string) => parseDomain(withDevices(`<interface type='direct'><source dev='e'/>${inner}</interface>`));
  it.each([
    ['absent', '', undefined],
    ['present but empty', '<virtualport/>', { parameters: {} }],
    ['of a type', "<virtualport type='openvswitch'/>", { type: 'openvswitch', parameters: {} }],
    ['with parameters', "<virtualport><parameters profileid='p'/></virtualport>", { parameters: { profileid: 'p' } }],
  ])('S3: %s stays so', (_, xml, expected) => {
    const domain = port(xml);
    const [device] = domain.devices;
    expect(device?.t === 'interface' ? actualVirtualPort(device) : null).toEqual(expected);
    expect(formatDomain(domain).includes('<virtualport')).toBe(xml !== '');
    expect(parseDomain(formatDomain(domain))).toEqual(domain);
  });
});
