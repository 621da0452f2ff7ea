import { readFileSync, writeFileSync } from 'node:fs';
import { unplaceDisplay } from '@vmferry/domain';
import { expect, test } from 'vitest';
import { commandLine } from './command-line.js';
import {
  argvOf,
  fixedAliases,
  fixedOptions,
  ready,
  type Scenario,
  scenarios,
  scenarioXml,
  testdata,
  valuesOf,
} from './spec-helper.js';

/** One line for each option with its value, as it is easiest to read a difference. */
function asText(argv: readonly string[]): string {
  return argv
    .map((word, index) => (index > 0 && word.startsWith('-') ? `\n${word}` : index === 0 ? word : ` ${word}`))
    .join('')
    .concat('\n');
}

test.each(scenarios)('%s gives the command line that is checked in (UPDATE=1 writes it anew)', (scenario) => {
  const text = asText(argvOf(scenarioXml(scenario, '/srv/guests'), { incoming: scenario === 'full-q35' }));
  const file = testdata(`${scenario}.argv`);
  if (process.env.UPDATE === '1') writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
});

test('the same definition gives the same words, and incoming adds only -incoming defer', () => {
  for (const scenario of scenarios) {
    const xml = scenarioXml(scenario, '/srv/guests');
    expect(argvOf(xml)).toEqual(argvOf(xml));
    expect(argvOf(xml, { incoming: true })).toEqual([...argvOf(xml), '-incoming', 'defer']);
  }
});

test.each(scenarios)('%s starts stopped, in the sandbox, without defaults, with two monitors', (scenario) => {
  const argv = argvOf(scenarioXml(scenario, '/srv/guests'));
  expect(argv).toEqual(expect.arrayContaining(['-nodefaults', '-no-user-config', '-S']));
  expect(argv).toContain('on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny');
  expect(argv.filter((word) => word === '-mon')).toHaveLength(2);
});

test('every writable file node has the image lock, and no read-only one', () => {
  const nodes = argvOf(scenarioXml('full-q35', '/srv/guests'))
    .filter((word) => word.includes('"driver":"file"'))
    .map((word) => JSON.parse(word) as { 'read-only': boolean; locking: string });
  expect(nodes).toHaveLength(4);
  for (const node of nodes) expect(node.locking).toBe(node['read-only'] ? 'auto' : 'on');
});

function changed(scenario: Scenario, from: string | RegExp, to: string): string {
  const xml = scenarioXml(scenario, '/srv/guests');
  const other = xml.replace(from, to);
  expect(other).not.toBe(xml);
  return other;
}

test.each<[string, Scenario, string, string, string]>([
  ['kqemu', 'boot-sector', "type='qemu'", "type='kqemu'", 'kqemu'],
  ['a foreign emulator', 'boot-sector', '<devices>', '<devices><emulator>/opt/evil</emulator>', '/opt/evil'],
  ['host-model', 'kvm', "mode='custom' match='exact'", "mode='host-model'", 'host-model'],
  ['spice with tls', 'spice-qxl', "port='5931'", "port='5931' tlsPort='5932'", 'tlsPort'],
  ['a read-only ide disk', 'pc-ide', "<target dev='hda' bus='ide'/>", "<target dev='hda' bus='ide'/><readonly/>", 'hda'],
  [
    'an empty virtio cdrom',
    'boot-sector',
    '<serial',
    "<disk type='file' device='cdrom'><target dev='vdc' bus='virtio'/></disk><serial",
    'vdc',
  ],
  ['two displays', 'kvm', '<graphics', "<graphics type='vnc' port='5909'/><graphics", 'graphics'],
  ['the platform timer', 'kvm', "<timer name='pit'", "<timer name='platform'/><timer name='pit'", 'platform'],
  ['a merging rtc', 'full-q35', "tickpolicy='catchup'", "tickpolicy='merge'", 'rtc'],
  ['a catching-up pit', 'kvm', "tickpolicy='delay'", "tickpolicy='catchup'", 'pit'],
  ['a tsc mode', 'kvm', "frequency='2500000000'", "frequency='2500000000' mode='emulate'", 'tsc'],
])('%s is refused by a name', (_what, scenario, from, to, named) => {
  const xml = changed(scenario, from, to);
  expect(() => argvOf(xml)).toThrow(
    expect.objectContaining({ code: 'hypervisor-unsupported', message: expect.stringContaining(named) }),
  );
});

test('a device that domain calls unsupported is refused by the name of its element', () => {
  const xml = changed('boot-sector', '<devices>', "<devices><hostdev mode='subsystem' type='pci'/>");
  expect(() => argvOf(xml)).toThrow(
    expect.objectContaining({ code: 'device-unsupported', message: expect.stringContaining('hostdev') }),
  );
});

test('kvm is refused where it does not run', () => {
  const capabilities = { ...fixedOptions.capabilities, kvmUsable: false };
  expect(() => argvOf(scenarioXml('kvm', '/srv'), { capabilities })).toThrow(
    expect.objectContaining({ code: 'hypervisor-unsupported' }),
  );
});

test('a machine that this QEMU lacks is refused', () => {
  const capabilities = { ...fixedOptions.capabilities, machines: ['pc-q35-3.0'] };
  const start = () => argvOf(scenarioXml('boot-sector', '/srv'), { capabilities });
  expect(start).toThrow(
    expect.objectContaining({ code: 'hypervisor-unsupported', message: expect.stringContaining('pc-q35-7.2') }),
  );
});

test('a device without its address is refused: it could move from start to start', () => {
  const definition = ready(scenarioXml('boot-sector', '/srv'), fixedAliases);
  const devices = definition.devices.map((device) => (device.t === 'disk' ? { ...device, address: undefined } : device));
  // The address is taken away behind the back of the domain package, as nothing else can.
  const bare = { ...definition, devices } as typeof definition;
  expect(() => commandLine(bare, fixedOptions)).toThrow(expect.objectContaining({ code: 'definition-invalid' }));
});

test('a monitor outside the runtime folder is refused', () => {
  const monitors = { ...fixedOptions.monitors, source: '/tmp/source.qmp' };
  expect(() => argvOf(scenarioXml('boot-sector', '/srv'), { monitors })).toThrow(expect.objectContaining({ code: 'internal' }));
});

test('a serial override takes the place of the backend of its port alone', () => {
  const argv = argvOf(scenarioXml('full-q35', '/srv'), {
    serialOverrides: { 1: { type: 'unix', path: '/run/s', mode: 'connect' } },
  });
  expect(argv).toContain('pty,id=serial-0-host');
  expect(argv).toContain('socket,id=serial-1-host,path=/run/s,server=off');
});

test('S2: the command line follows the network that an interface is on, not the one that it was configured with', () => {
  const network = "<interface type='network'><source network='default'/><mac address='52:54:00:00:00:06'/>";
  const unresolved = changed('kvm', /<interface type='ethernet'>[\s\S]*<target dev='tap0'\/>/, network);
  expect(() => argvOf(unresolved)).toThrow(expect.objectContaining({ message: expect.stringContaining("type='network'") }));
  const resolvedTo = (actual: string) => argvOf(unresolved.replace(network, `${network}${actual}`));
  expect(resolvedTo("<actual type='user'/>")).toContain('{"type":"user","id":"net-0-host"}');
  expect(resolvedTo("<actual type='bridge'><source bridge='br0'/></actual>")).toContain(
    '{"type":"tap","fd":"4","id":"net-0-host"}',
  );
});

test('taps are inherited in their order, those of QEMU itself take no descriptor, and there is a bound', () => {
  const user = "<interface type='user'/>";
  const taps = [
    "<interface type='bridge'><source bridge='br0'/></interface>",
    "<interface type='direct'><source dev='e'/></interface>",
  ];
  const withInterfaces = (...all: readonly string[]) => changed('boot-sector', '<serial', `${all.join('')}<serial`);
  const netdevs = valuesOf(argvOf(withInterfaces(taps[0] ?? '', user, taps[1] ?? '')), '-netdev');
  expect(netdevs).toEqual([
    '{"type":"tap","fd":"4","id":"net-0-host"}',
    '{"type":"user","id":"net-1-host"}',
    '{"type":"tap","fd":"5","id":"net-2-host"}',
  ]);
  const definition = ready(withInterfaces(taps[0] ?? ''), fixedAliases);
  const [tap] = definition.devices.filter(({ t }) => t === 'interface');
  const many = Array.from({ length: 33 }, (_, position) => ({ ...tap, position }));
  const crowded = { ...definition, devices: many } as unknown as typeof definition;
  expect(() => commandLine(crowded, fixedOptions)).toThrow(expect.objectContaining({ code: 'hypervisor-unsupported' }));
});

test('a display of which no port was chosen is a defect of who starts it', () => {
  const definition = unplaceDisplay(ready(scenarioXml('full-q35', '/srv'), fixedAliases));
  expect(() => commandLine(definition, fixedOptions)).toThrow(expect.objectContaining({ code: 'internal' }));
});

test('S45: a SPICE display with TLS is given the folder of the certificates, alone or beside its plain port', () => {
  const o = { spiceTlsDir: '/etc/pki/a,b' };
  const both = changed('spice-qxl', "port='5931'", "port='5931' tlsPort='5932'");
  expect(valuesOf(argvOf(both, o), '-spice')).toEqual([
    'port=5931,tls-port=5932,x509-dir=/etc/pki/a,,b,addr=127.0.0.1,disable-ticketing=on,seamless-migration=on',
  ]);
  const alone = changed('spice-qxl', "port='5931'", "tlsPort='5932'");
  expect(valuesOf(argvOf(alone, o), '-spice')).toEqual([
    'tls-port=5932,x509-dir=/etc/pki/a,,b,addr=127.0.0.1,disable-ticketing=on,seamless-migration=on',
  ]);
  expect(argvOf(scenarioXml('spice-qxl', '/srv'), o)).toEqual(argvOf(scenarioXml('spice-qxl', '/srv')));
});

test.each<[Scenario, string, string, string]>([
  ['spice-qxl', "port='5931'", '-spice', 'port=5931,addr=127.0.0.1,seamless-migration=on'],
  ['kvm', "port='5907'", '-vnc', '[::1]:7,password=on'],
])('the password of the display of %s is asked for, and is on no command line', (scenario, port, option, value) => {
  const argv = argvOf(changed(scenario, port, `${port} passwd='canary'`));
  expect(valuesOf(argv, option)).toEqual([value]);
  expect(argv.join()).not.toContain('canary');
});
