import { type ErrorCode, VmferryError } from '@vmferry/errors';
import { describe, expect, it } from 'vitest';
import type { DomainDefinition } from './definition.js';
import { bootSector, everything, uuid, withDevices } from './examples.spec-helper.js';
import { formatDomain } from './format.js';
import { parseDomain } from './parse.js';
import { checkSupported, graphicsOf, serialPortsOf } from './questions.js';

function codeOf(act: () => unknown): ErrorCode | 'accepted' {
  try {
    act();
  } catch (error) {
    if (error instanceof VmferryError) return error.code;
    throw error;
  }
  return 'accepted';
}

function devicesOf(xml: string): DomainDefinition['devices'] {
  return parseDomain(withDevices(xml)).devices;
}

describe('parseDomain', () => {
  it('reads a boot-sector guest of 4 MiB', () => {
    const domain = parseDomain(bootSector);
    expect(domain).toMatchObject({
      type: 'qemu',
      name: 'sector',
      uuid,
      memoryKib: 4096,
      currentMemoryKib: 4096,
      vcpus: 1,
      os: { arch: 'x86_64', machine: 'q35', boot: ['hd'] },
      features: { acpi: true, apic: false, pae: false },
      onPoweroff: 'destroy',
      onReboot: 'restart',
      onCrash: 'destroy',
      clock: { offset: 'utc', timers: [] },
      secLabels: [],
      unsupported: [],
      devices: [
        { t: 'disk', position: 0, bus: 'virtio', source: '/guests/sector.img', format: 'raw', readonly: false, shareable: true },
        { t: 'serial', position: 1, port: 0, backend: { type: 'unix', path: '/run/s.sock', mode: 'connect' } },
      ],
    });
    expect(() => checkSupported(domain)).not.toThrow();
  });

  it('reads direct kernel boot, the processor, timers and every device', () => {
    const domain = parseDomain(everything);
    expect(domain.os).toEqual({
      arch: 'x86_64',
      machine: 'pc-q35-7.2',
      kernel: '/boot/vmlinuz',
      initrd: '/boot/initrd',
      cmdline: "console=ttyS0 quiet a='b,c'",
      loader: '/usr/share/seabios/bios-256k.bin',
      boot: ['cdrom', 'network'],
    });
    expect(domain).toMatchObject({
      memoryKib: 262_144,
      currentMemoryKib: 131_072,
      vcpus: 2,
      vcpusMax: 4,
      emulator: '/usr/bin/qemu-system-x86_64',
    });
    expect(domain.features).toEqual({ acpi: true, apic: true, pae: true, vmport: false });
    expect(domain.cpu).toEqual({
      mode: 'custom',
      model: 'qemu64',
      topology: { sockets: 1, dies: 1, cores: 2, threads: 2 },
      features: [
        { name: 'aes', policy: 'require' },
        { name: 'svm', policy: 'disable' },
      ],
    });
    expect(domain.clock).toEqual({
      offset: 'localtime',
      timers: [
        { name: 'rtc', tickPolicy: 'catchup' },
        { name: 'hpet', present: false },
      ],
    });
    expect([domain.onPoweroff, domain.onReboot, domain.onCrash]).toEqual(['preserve', 'destroy', 'coredump-restart']);
    expect(domain.unsupported).toEqual([]);
    expect(domain.devices).toMatchObject([
      { t: 'controller', type: 'pci', model: 'pcie-root', index: 0 },
      { t: 'controller', type: 'pci', model: 'pcie-root-port', index: 1, chassis: 1, port: 8, address: { slot: 1 } },
      { t: 'controller', type: 'sata', index: 0, address: { slot: 0x1f, function: 2 } },
      { t: 'controller', type: 'usb', model: 'qemu-xhci' },
      { t: 'controller', type: 'virtio-serial', ports: 16 },
      {
        t: 'disk',
        targetDev: 'vda',
        bus: 'virtio',
        format: 'qcow2',
        cache: 'none',
        serial: 'DISK-1',
        bootOrder: 1,
        type: 'block',
        source: '/dev/vg/x',
      },
      { t: 'disk', targetDev: 'sda', bus: 'sata', device: 'cdrom', readonly: true },
      { t: 'interface', mac: '52:54:00:aa:bb:cc', model: 'virtio', targetDev: 'vnet0' },
      { t: 'serial', port: 0, backend: { type: 'pty' } },
      { t: 'serial', port: 1, backend: { type: 'file', path: '/tmp/s1.log', append: true } },
      { t: 'serial', port: 2, backend: { type: 'tcp', host: '127.0.0.1', port: 4555 } },
      { t: 'serial', port: 3, backend: { type: 'null' } },
      { t: 'console', port: 0 },
      { t: 'input', type: 'tablet', bus: 'usb' },
      { t: 'input', type: 'keyboard', bus: 'ps2' },
      { t: 'graphics', type: 'spice', port: 5901, tlsPort: -1, autoport: false, listen: '127.0.0.1' },
      { t: 'video', model: 'qxl', vramKib: 65_536, heads: 1, primary: true },
      { t: 'memballoon', model: 'virtio' },
      { t: 'rng', model: 'virtio', source: '/dev/urandom' },
    ]);
    expect(() => checkSupported(domain)).not.toThrow();
  });

  it('S12: accepts the types qemu, kqemu, kvm and xen, and no other, before anything else is read', () => {
    for (const type of ['qemu', 'kqemu', 'kvm', 'xen'])
      expect(parseDomain(bootSector.replace("'qemu'", `'${type}'`)).type).toBe(type);
    for (const type of ['lxc', 'uml', 'test', 'QEMU', '', 'qemu ']) {
      expect(
        codeOf(() => parseDomain(`<domain type='${type}'/>`)),
        type,
      ).toBe('domain-type-unexpected');
    }
    expect(codeOf(() => parseDomain('<domain/>'))).toBe('domain-type-unexpected');
    expect(codeOf(() => parseDomain(bootSector, { expectedTypes: ['kvm'] }))).toBe('domain-type-unexpected');
    expect(codeOf(() => parseDomain("<domain type='lxc'/>", { expectedTypes: ['lxc'] }))).toBe('domain-type-unexpected');
  });

  it.each([
    ['4194304', 'b'],
    ['4096', 'KiB'],
    ['4', 'MiB'],
    ['4', 'M'],
    ['4195', 'KB'],
  ])('reads %s %s of memory as 4 MiB, rounded up', (count, unit) => {
    const kib = parseDomain(bootSector.replace("<memory unit='MiB'>4<", `<memory unit='${unit}'>${count}<`)).memoryKib;
    expect(kib).toBe(unit === 'KB' ? 4097 : 4096);
  });

  it.each([
    ['', 'ondemand'],
    ['<memoryBacking/>', 'ondemand'],
    ["<memoryBacking><allocation mode='ondemand'/></memoryBacking>", 'ondemand'],
    ["<memoryBacking><allocation mode='immediate'/></memoryBacking>", 'immediate'],
  ])('reads %s as memory that is given %s', (backing, allocation) => {
    const domain = parseDomain(bootSector.replace('<os>', `${backing}<os>`));
    expect(domain).toMatchObject({ memoryAllocation: allocation, unsupported: [] });
  });

  it('takes the given uuid when the document has none, and derives a MAC address that stays the same', () => {
    const text = withDevices("<interface type='user'/>").replace(/<uuid>.*<\/uuid>/, '');
    expect(codeOf(() => parseDomain(text))).toBe('definition-invalid');
    const domain = parseDomain(text, { uuidIfMissing: uuid });
    expect(domain.uuid).toBe(uuid);
    const [device] = domain.devices;
    expect(device?.t === 'interface' ? device.mac : '').toMatch(/^52:54:00(:[0-9a-f]{2}){3}$/);
    expect(parseDomain(formatDomain(domain)).devices).toEqual(domain.devices);
    expect(parseDomain(text, { uuidIfMissing: uuid }).devices).toEqual(domain.devices);
  });
});

describe('bounds', () => {
  const change = (from: string | RegExp, to: string) => bootSector.replace(from, to);
  it.each([
    ['a name with a slash', change('>sector<', '>a/b<')],
    ['a name over its limit', change('>sector<', `>${'n'.repeat(129)}<`)],
    ['an empty name', change('>sector<', '> <')],
    ['two names', change('</name>', '</name><name>x</name>')],
    ['a uuid that is none', change(uuid, 'x')],
    ['no memory', change(/<memory.*<\/memory>/, '')],
    ['memory in furlongs', change("'MiB'", "'furlong'")],
    ['memory under its limit', change('>4<', '>0<')],
    ['memory over its limit', change('>4<', '>99999999<')],
    ['memory given at another time', change('<os>', "<memoryBacking><allocation mode='later'/></memoryBacking><os>")],
    ['memory with a fraction', change('>4<', '>4.5<')],
    ['more current memory than memory', change('</memory>', '</memory><currentMemory>99999</currentMemory>')],
    ['no vcpu', change('<os>', '<vcpu>0</vcpu><os>')],
    ['more current vcpus than vcpus', change('<os>', "<vcpu current='3'>2</vcpu><os>")],
    ['no machine', change(" machine='q35'", '')],
    ['a machine with an option', change("'q35'", "'q35,accel=kvm'")],
    ['another architecture', change("'x86_64'", "'riscv64'")],
    ['a boot device of its own', change("dev='hd'", "dev='floppy'")],
    ['an initrd without a kernel', change('</type>', '</type><initrd>/i</initrd>')],
    ['a relative kernel', change('</type>', '</type><kernel>vmlinuz</kernel>')],
    ['a kernel outside by ..', change('</type>', '</type><kernel>/a/../b</kernel>')],
    ['a cmdline over its limit', change('</type>', `</type><kernel>/k</kernel><cmdline>${'x'.repeat(2048)}</cmdline>`)],
    ['a cmdline of two lines', change('</type>', '</type><kernel>/k</kernel><cmdline>a\nb</cmdline>')],
    ['a topology that does not fit', change('<os>', "<cpu><topology sockets='2' cores='1' threads='1'/></cpu><os>")],
    ['a CPU model with an option', change('<os>', '<cpu><model>qemu64,+vmx</model></cpu><os>')],
    ['a CPU feature with an option', change('<os>', "<cpu><feature name='a,b'/></cpu><os>")],
    ['a CPU feature twice', change('<os>', "<cpu><feature name='a'/><feature name='a'/></cpu><os>")],
    ['an unknown action', change('<os>', '<on_crash>explode</on_crash><os>')],
    ['a relative emulator', change('<devices>', '<devices><emulator>qemu</emulator>')],
    ['two device lists', change('</devices>', '</devices><devices/>')],
    ['another root', '<network/>'],
  ])('refuses %s', (_, text) => {
    expect(text).not.toBe(bootSector);
    expect(codeOf(() => parseDomain(text))).toBe('definition-invalid');
  });

  const disk = (parts: string, attributes = "type='file'") => `<disk ${attributes}>${parts}</disk>`;
  const good = "<source file='/d'/><target dev='vda' bus='virtio'/>";
  it.each([
    ['a disk without a source', disk("<target dev='vda'/>")],
    ['a relative disk', disk("<source file='d'/><target dev='vda'/>")],
    ['a folder for a disk', disk("<source file='/d/'/><target dev='vda'/>")],
    ['a disk of a url', disk("<source file='nbd://h/x'/><target dev='vda'/>")],
    ['a disk with a newline', disk("<source file='/d&#10;e'/><target dev='vda'/>")],
    ['a path over its limit', disk(`<source file='/${'d'.repeat(4095)}'/><target dev='vda'/>`)],
    ['a disk without a target', disk("<source file='/d'/>")],
    ['a target with an option', disk("<source file='/d'/><target dev='vda,x'/>")],
    ['a serial with a comma', disk(`${good}<serial>a,b</serial>`)],
    ['a serial over its limit', disk(`${good}<serial>${'s'.repeat(21)}</serial>`)],
    ['two disks of one name', disk(good) + disk(good)],
    ['two disks on one port', disk("<source file='/d'/><target dev='sda'/>") + disk("<source file='/e'/><target dev='hda'/>")],
    ['a seventh sata disk', disk("<source file='/d'/><target dev='sdg'/>")],
    ['a fifth ide disk', disk("<source file='/d'/><target dev='hde'/>")],
    ['one boot order twice', disk(`${good}<boot order='1'/>`) + disk("<source file='/e'/><target dev='vdb'/><boot order='1'/>")],
    ['boot order 0', disk(`${good}<boot order='0'/>`)],
    ['a slot that is not there', disk(`${good}<address type='pci' slot='0x20'/>`)],
    ['an address without a slot', disk(`${good}<address type='pci'/>`)],
    ['another PCI domain', disk(`${good}<address type='pci' domain='1' slot='1'/>`)],
    ['a multicast MAC', "<interface type='user'><mac address='01:00:5e:00:00:01'/></interface>"],
    ['a MAC with an option', "<interface type='user'><mac address='52:54:00:00:00:01,x'/></interface>"],
    ['a bridge without a name', "<interface type='bridge'/>"],
    ['a bridge with an option', "<interface type='bridge'><source bridge='br0,script=x'/></interface>"],
    ['a tap name over its limit', "<interface type='ethernet'><target dev='abcdefghijklmnop'/></interface>"],
    ['a serial port 4', "<serial type='pty'><target port='4'/></serial>"],
    ['five serial ports', "<serial type='pty'/>".repeat(5)],
    ['one serial port twice', "<serial type='pty'><target port='1'/></serial>".repeat(2)],
    ['a file without a path', "<serial type='file'/>"],
    ['a socket path over its limit', `<serial type='unix'><source path='/${'s'.repeat(107)}'/></serial>`],
    ['a tcp host with an option', "<serial type='tcp'><source mode='connect' host='h,server=on' service='1'/></serial>"],
    ['a tcp port by name', "<serial type='tcp'><source mode='connect' host='h' service='http'/></serial>"],
    ['a VNC port under 5900', "<graphics type='vnc' port='80'/>"],
    ['a listen address with an option', "<graphics type='vnc' listen='0.0.0.0,password=off'/>"],
    ['two listen addresses', "<graphics type='vnc' listen='1.1.1.1'><listen type='address' address='2.2.2.2'/></graphics>"],
    ['no video memory', "<video><model type='qxl' vram='0'/></video>"],
    ['a second root bus', "<controller type='pci' index='1' model='pcie-root'/>"],
    ['one controller twice', "<controller type='usb' model='none'/>".repeat(2)],
    ['two balloons', "<memballoon model='virtio'/>".repeat(2)],
  ])('refuses %s', (_, devices) => {
    expect(codeOf(() => devicesOf(devices))).toBe('definition-invalid');
  });
});

describe('what is kept and cannot be started', () => {
  const disk = (parts: string, attributes = "type='file'") => `<disk ${attributes}><source file='/d'/>${parts}</disk>`;
  it.each([
    ["<hostdev mode='subsystem' type='pci'/>", 'hostdev', undefined],
    ["<filesystem type='mount'/>", 'filesystem', undefined],
    ["<channel type='unix'/>", 'channel', undefined],
    ["<watchdog model='i6300esb'/>", 'watchdog', undefined],
    [disk("<target dev='sda' bus='scsi'/>"), 'disk', /scsi/],
    [disk("<target dev='vda'/><driver type='vmdk'/>"), 'disk', /vmdk/],
    [disk("<target dev='vda'/>", "type='network'"), 'disk', /network/],
    [disk("<target dev='vda'/>", "type='file' device='lun'"), 'disk', /lun/],
    [disk("<target dev='vda'/><encryption format='luks'/>"), 'disk', /encryption/],
    [disk("<target dev='vda'/><address type='virtio-mmio'/>"), 'disk', /virtio-mmio/],
    ["<interface type='vhostuser'/>", 'interface', /vhostuser/],
    ["<interface type='user'><model type='ne2k_pci'/></interface>", 'interface', /ne2k_pci/],
    ["<interface type='user'><filterref filter='clean-traffic'/></interface>", 'interface', /filterref/],
    ["<interface type='user'><link state='down'/></interface>", 'interface', /link state/],
    ["<interface type='user'><backend type='passt'/></interface>", 'interface', /passt/],
    ["<serial type='stdio'/>", 'serial', /stdio/],
    ["<serial type='pty'><log file='/etc/x'/></serial>", 'serial', /log/],
    ["<serial type='tcp'><source mode='bind' host='0.0.0.0' service='1'/></serial>", 'serial', /bind/],
    ["<console type='pty'><target type='virtio'/></console>", 'console', /virtio/],
    ["<graphics type='sdl'/>", 'graphics', /sdl/],
    ["<graphics type='vnc' passwd='secret' keymap='de'/>", 'graphics', /^keymap$/],
    ["<graphics type='spice' defaultMode='secure'/>", 'graphics', /defaultMode/],
    ["<graphics type='spice'><channel name='main' mode='secure'/></graphics>", 'graphics', /^channel$/],
    ["<graphics type='spice'><clipboard copypaste='no'/></graphics>", 'graphics', /^clipboard$/],
    ["<video><model type='vmvga'/></video>", 'video', /vmvga/],
    ["<input type='tablet'/>", 'input', /usb controller/],
    ["<controller type='scsi'/>", 'controller', /scsi/],
    ["<controller type='sata' index='1'/>", 'controller', /index="1"/],
    ["<rng model='virtio'><backend model='egd'/></rng>", 'rng', /egd/],
    ["<memballoon model='xen'/>", 'memballoon', /xen/],
  ])('%s', (xml, element, what) => {
    const domain = parseDomain(withDevices(xml));
    const [device, second] = domain.devices;
    expect(device).toMatchObject({ t: 'unsupported', position: 0, element });
    expect(device?.t === 'unsupported' ? (device.what ?? '') : '').toMatch(what ?? /^$/);
    expect(second).toBeUndefined();
    expect(codeOf(() => checkSupported(domain))).toBe('device-unsupported');
    expect(() => checkSupported(domain)).toThrow(`<${element}>`);
    expect(() => checkSupported(domain)).not.toThrow(/secret/);
    expect(parseDomain(formatDomain(domain))).toEqual(domain);
  });

  it.each([
    ["<qemu:commandline xmlns:qemu='urn:q'><qemu:arg value='-s'/></qemu:commandline>", 'qemu:commandline'],
    ['<memoryBacking><hugepages/></memoryBacking>', 'memoryBacking/hugepages'],
    ["<memoryBacking><allocation threads='2'/></memoryBacking>", "memoryBacking/allocation threads='2'"],
    ["<os firmware='efi'><type machine='q35'>hvm</type></os>", "os firmware='efi'"],
    ["<os><type machine='q35'>hvm</type><loader type='pflash'>/f</loader><nvram>/n</nvram></os>", "os/loader type='pflash'"],
    ["<os><type machine='q35'>exe</type></os>", "os/type 'exe'"],
    ['<features><hyperv/></features>', 'features/hyperv'],
    ["<cpu><numa><cell id='0'/></numa></cpu>", 'cpu/numa'],
    ["<clock offset='timezone' timezone='x'/>", "clock offset='timezone'"],
    ["<launchSecurity type='sev'/>", 'launchSecurity'],
  ])('%s', (xml, name) => {
    const replaced = /^<(os|features)/.exec(xml)?.[1];
    const without =
      replaced === undefined ? bootSector : bootSector.replace(new RegExp(`<${replaced}>.*</${replaced}>`, 's'), '');
    const text = without.replace('<devices>', `${xml}<devices>`);
    const domain = parseDomain(text);
    expect(domain.unsupported[0]).toBe(name);
    expect(() => checkSupported(domain)).toThrow(name);
  });

  it('names every such element at once', () => {
    const domain = parseDomain(withDevices("<hostdev/><tpm model='tpm-tis'/>"));
    expect(() => checkSupported(domain)).toThrow('<hostdev>; <tpm>');
  });
});

describe('questions', () => {
  const graphics = (xml: string) => graphicsOf(parseDomain(withDevices(xml)));
  it('S36: there is a graphics device to speak of only when there is exactly one of vnc or spice', () => {
    expect(graphics("<graphics type='vnc'/>")).toMatchObject({ type: 'vnc', port: -1, autoport: true });
    expect(graphics('')).toBeUndefined();
    expect(graphics("<graphics type='sdl'/>")).toBeUndefined();
    expect(graphics("<graphics type='vnc'/><graphics type='spice'/>")).toBeUndefined();
    expect(graphics("<graphics type='vnc'/><graphics type='sdl'/>")).toBeUndefined();
  });

  it('a console is a serial port when there is no serial', () => {
    const ports = (xml: string) => serialPortsOf(parseDomain(withDevices(xml)));
    expect(ports("<console type='pty'/>")).toEqual([{ port: 0, backend: { type: 'pty' } }]);
    expect(
      ports("<serial type='null'><target port='2'/></serial><serial type='pty'><target port='1'/></serial><console type='pty'/>"),
    ).toEqual([
      { port: 1, backend: { type: 'pty' } },
      { port: 2, backend: { type: 'null' } },
    ]);
  });
});
