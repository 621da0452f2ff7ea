import { type DomainDefinition, parseDomain, tapsOf, withoutConnections } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { closeFd, openTap, tapName } from '@vmferry/posix';
import { systemClock } from '@vmferry/seams';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { HostInterfaces, ipLinks, noPortProfiles, type PortProfiles, parseNetworks, type SwitchPort } from './index.js';
import { devices, forbidden, ip, ownNamespace } from './testing/index.js';

const networks = parseNetworks(['blue=bridge:br0', 'red=direct:v0:private']);

function host(hostUuid = 'a', ports: PortProfiles = noPortProfiles): HostInterfaces {
  return new HostInterfaces({ hostUuid, networks, links: ipLinks, ports, clock: systemClock });
}

const mac = (n: number) => `<mac address='52:54:00:00:00:0${n}'/>`;
const onBridge = `<interface type='bridge'>${mac(1)}<source bridge='br0'/></interface>`;
const onBlue = `<interface type='network'>${mac(2)}<source network='blue'/></interface>`;
const direct = (inner = '', n = 3) => `<interface type='direct'>${mac(n)}<source dev='v0' mode='bridge'/>${inner}</interface>`;
const ethernet = `<interface type='ethernet'>${mac(4)}<target dev='tap7'/></interface>`;

function domain(...interfaces: readonly string[]): DomainDefinition {
  return parseDomain(
    `<domain type='qemu'><name>spec</name><uuid>6f3c9a52-1d0e-4a7b-8c55-0f9b3f1d2e11</uuid><memory unit='KiB'>4096</memory><vcpu>1</vcpu>` +
      `<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>${interfaces.join('')}</devices></domain>`,
  );
}

function linkOf(dev: string): string {
  return ip('-details', 'link', 'show', 'dev', dev);
}

describe('a definition on its host', () => {
  it('has its networks resolved and its devices named, the same for the same host and guest', () => {
    const resolved = host().resolve(domain(onBridge, onBlue, direct(), ethernet, "<interface type='user'/>"));
    const names = tapsOf(resolved).map(({ targetDev }) => targetDev);
    expect(names).toHaveLength(4);
    expect(names[3]).toBe('tap7');
    for (const name of names.slice(0, 3)) expect(name).toMatch(/^vnet-[0-9a-f]{10}$/);
    expect(new Set(names).size).toBe(4);
    expect(host().resolve(resolved)).toEqual(resolved);
    const elsewhere = tapsOf(host('b').resolve(resolved)).map(({ targetDev }) => targetDev);
    expect(elsewhere.filter((name) => names.includes(name))).toEqual(['tap7']);
    expect(withoutConnections(host('b').resolve(resolved))).toEqual(
      domain(onBridge, onBlue, direct(), ethernet, "<interface type='user'/>"),
    );
  });

  it('is refused when the host does not have its network, with the option that would give it one', () => {
    const green = domain(onBlue.replace('blue', 'green'));
    const act = () => host().resolve(green);
    expect(act).toThrow(VmferryError);
    expect(act).toThrow(/network green.*--network 'green=bridge:BRIDGE'/);
  });
});

describe('--network', () => {
  it('reads bridges and devices', () => {
    const read = parseNetworks(['default=bridge:virbr0', 'a b=direct:eth0', 'c=direct:eth0.7:passthrough']);
    expect([...read]).toEqual([
      ['default', { type: 'bridge', bridge: 'virbr0' }],
      ['a b', { type: 'direct', directDev: 'eth0', directMode: 'bridge' }],
      ['c', { type: 'direct', directDev: 'eth0.7', directMode: 'passthrough' }],
    ]);
  });

  it.each([
    'default',
    '=bridge:br0',
    'a=bridge:',
    'a=bridge:-x;y',
    'a=tap:t0',
    'a=direct:e:quick',
    `a=bridge:${'x'.repeat(16)}`,
    'a\nb=bridge:br0',
  ])('refuses %j', (text) => expect(() => parseNetworks([text])).toThrow(/--network: ".*" is neither/s));

  it('refuses a name that is given twice, and more than 256', () => {
    expect(() => parseNetworks(['a=bridge:x', 'a=bridge:y'])).toThrow(/given twice/);
    expect(() => parseNetworks(Array.from({ length: 257 }, (_, n) => `n${n}=bridge:x`))).toThrow(/at most 256/);
  });
});

describe.skipIf(forbidden !== null)(`devices of the host ${forbidden ?? ''}`, () => {
  const before = ['br0', 'v0', 'v1'];
  let leave: () => void;
  beforeAll(() => {
    leave = ownNamespace();
    ip('link', 'add', 'br0', 'mtu', '1400', 'type', 'bridge');
    ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    expect(devices().sort()).toEqual(before);
  });
  afterEach(() => expect(devices().sort(), 'nothing is left').toEqual(before));
  afterAll(() => leave());

  it('a tap is made on its bridge, up, with the address of the host and the size of the bridge, and goes with its descriptor', async () => {
    const resolved = host().resolve(domain(onBridge, onBlue));
    expect(await host().faults(resolved)).toEqual([]);
    const fds = await host().open(resolved);
    const [first = ''] = tapsOf(resolved).map(({ targetDev }) => targetDev ?? '');
    expect(fds.map((fd) => tapName(fd))).toEqual(tapsOf(resolved).map(({ targetDev }) => targetDev));
    expect(linkOf(first)).toMatch(/UP.* mtu 1400 .*master br0/);
    expect(linkOf(first)).toContain('fe:54:00:00:00:01');
    for (const fd of fds) closeFd(fd);
  });

  it.each(['bridge', 'private', 'vepa', 'passthrough'])(
    'a macvtap of mode %s is down until its guest may run, and is removed',
    async (mode) => {
      const resolved = host().resolve(domain(direct().replace("mode='bridge'", `mode='${mode}'`)));
      const [dev = ''] = tapsOf(resolved).map(({ targetDev }) => targetDev ?? '');
      const [fd = -1] = await host().open(resolved);
      expect(tapName(fd)).toBe(dev);
      expect(linkOf(dev)).toMatch(new RegExp(`macvtap mode ${mode.slice(0, 7)}`));
      const below = linkOf('v0');
      expect(linkOf(dev)).not.toMatch(/[<,]UP[,>]/);
      await host().goOnline(resolved);
      await host().goOnline(resolved);
      expect(linkOf(dev)).toMatch(/[<,]UP[,>]/);
      expect(linkOf(dev)).toContain('52:54:00:00:00:03');
      closeFd(fd);
      expect(devices(), 'it stays without its descriptor').toContain(dev);
      await host().remove(resolved);
      await host().remove(resolved);
      expect(linkOf('v0').split('\n')[1], 'the device below has its address back').toBe(below.split('\n')[1]);
    },
  );

  it('a macvtap that a start left behind gives way to the next, and is found without a resolved definition', async () => {
    const definition = domain(onBlue.replace('blue', 'red'));
    const resolved = host().resolve(definition);
    for (const fd of await host().open(resolved)) closeFd(fd);
    for (const fd of await host().open(resolved)) closeFd(fd);
    await host().remove(definition);
  });

  it('a tap that an administrator has made is taken as it is, and stays', async () => {
    ip('tuntap', 'add', 'dev', 'tap7', 'mode', 'tap', 'vnet_hdr');
    const resolved = host().resolve(domain(ethernet));
    expect(await host().faults(resolved)).toEqual([]);
    for (const fd of await host().open(resolved)) {
      expect(tapName(fd)).toBe('tap7');
      closeFd(fd);
    }
    await host().remove(resolved);
    expect(linkOf('tap7')).not.toMatch(/[<,]UP[,>]/);
    ip('link', 'delete', 'tap7');
    for (const fd of await host().open(resolved)) {
      expect(linkOf('tap7'), 'one that was not there is made').toMatch(/[<,]UP[,>]/);
      closeFd(fd);
    }
  });

  it('what fails half-way leaves nothing', async () => {
    const taken = openTap('tap7', 'make');
    const resolved = host().resolve(domain(onBridge, direct(), ethernet));
    await expect(host().open(resolved)).rejects.toMatchObject({
      code: 'network-unavailable',
      message: expect.stringContaining('EBUSY') as string,
    });
    expect(devices().sort()).toEqual([...before, 'tap7'].sort());
    closeFd(taken);
  });

  it.each<[string, string, RegExp]>([
    ['a bridge that is not there', onBridge.replace('br0', 'br9'), /there is no bridge br9/],
    ['a bridge that is none', onBridge.replace('br0', 'v0'), /v0 is no bridge/],
    ['a device that is not there', direct().replace("'v0'", "'v9'"), /there is no network device v9/],
    ['a name that is taken', onBridge.replace('/></', "/><target dev='v1'/></"), /there is a network device v1 already/],
    ['a name for a macvtap', direct("<target dev='mine'/>"), /leave <target dev='mine'\/> out/],
    ['a limit', onBridge.replace('/></', "/><bandwidth><inbound average='5'/></bandwidth></"), /<bandwidth> would not be kept/],
    [
      'a port of Open vSwitch',
      onBridge.replace('/></', "/><virtualport type='openvswitch'/></"),
      /a bridge of Linux.*openvswitch/,
    ],
    ['a port at a switch', direct("<virtualport type='802.1Qbg'/>"), /802\.1Qbg .*lldpad/],
  ])('is told before anything happens: %s', async (_, xml, expected) => {
    const [fault, ...more] = await host().faults(host().resolve(domain(xml)));
    expect(more).toEqual([]);
    expect(fault).toMatchObject({ code: 'network-unavailable' });
    expect(fault?.message).toMatch(expected);
  });

  it('S3: a port that is there and empty asks nothing of a switch', async () => {
    expect(await host().faults(host().resolve(domain(direct('<virtualport/>'))))).toEqual([]);
  });
});

/**
 * A double: neither lldpad nor a switch that speaks 802.1Qbg or 802.1Qbh is to be had for a test. It keeps what it was told, and fails where it is
 * told to; that a real switch understands is not proven here.
 */
class SwitchDouble implements PortProfiles {
  readonly calls: string[] = [];
  readonly associated = new Set<string>();
  failAt: string | null = null;
  obstacle(): null {
    return null;
  }
  async associate({ mac: of, profile }: SwitchPort): Promise<void> {
    this.calls.push(`associate ${of.slice(-1)} ${profile.type}`);
    this.associated.add(of);
    if (this.failAt === of.slice(-1)) throw new Error('the switch says no');
  }
  async disassociate({ mac: of }: SwitchPort): Promise<void> {
    this.calls.push(`disassociate ${of.slice(-1)}`);
    this.associated.delete(of);
  }
}

describe.skipIf(forbidden !== null)(`virtual ports ${forbidden ?? ''}`, () => {
  const qbg = "<virtualport type='802.1Qbg'><parameters managerid='11'/></virtualport>";
  const qbh = "<virtualport type='802.1Qbh'><parameters profileid='p'/></virtualport>";
  const three = domain(direct(qbg, 1), direct('', 2), direct(qbh, 3), direct(qbg, 4));
  let leave: () => void;
  let at: SwitchDouble;
  let interfaces: HostInterfaces;
  let resolved: DomainDefinition;
  beforeAll(() => {
    leave = ownNamespace();
    ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
  });
  afterAll(() => leave());

  async function opened(): Promise<void> {
    at = new SwitchDouble();
    interfaces = host('a', at);
    resolved = interfaces.resolve(three);
    for (const fd of await interfaces.open(resolved)) closeFd(fd);
    expect(at.calls, 'nothing is said to the switch before the guest may run').toEqual([]);
  }

  it('S3: are associated in their order, those that are there, and disassociated at the end, the last first', async () => {
    await opened();
    await interfaces.goOnline(resolved);
    expect(at.calls.splice(0)).toEqual(['associate 1 802.1Qbg', 'associate 3 802.1Qbh', 'associate 4 802.1Qbg']);
    await interfaces.remove(resolved);
    expect(at.calls).toEqual(['disassociate 4', 'disassociate 3', 'disassociate 1']);
    expect(devices().sort()).toEqual(['v0', 'v1']);
  });

  it.each([
    ['1', ['associate 1 802.1Qbg', 'disassociate 1']],
    ['3', ['associate 1 802.1Qbg', 'associate 3 802.1Qbh', 'disassociate 3', 'disassociate 1']],
    [
      '4',
      [
        'associate 1 802.1Qbg',
        'associate 3 802.1Qbh',
        'associate 4 802.1Qbg',
        'disassociate 4',
        'disassociate 3',
        'disassociate 1',
      ],
    ],
  ])(
    'are all rolled back when the one at %s fails, itself and the last good one too, and no device is up',
    async (failAt, calls) => {
      await opened();
      at.failAt = failAt;
      await expect(interfaces.goOnline(resolved)).rejects.toMatchObject({
        code: 'network-unavailable',
        message: expect.stringContaining('the switch says no') as string,
      });
      expect(at.calls).toEqual(calls);
      expect(at.associated.size).toBe(0);
      for (const { targetDev = '' } of tapsOf(resolved)) expect(linkOf(targetDev)).not.toMatch(/[<,]UP[,>]/);
      at.failAt = null;
      await interfaces.remove(resolved);
    },
  );
});
