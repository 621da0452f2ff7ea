import { VmferryError } from '@vmferry/errors';
import { describe, expect, it } from 'vitest';
import { checkAbi, checkTargetDefinition, throwIfAbiDiffers } from './check-abi.js';
import { bootSector, everything, withDevices } from './examples.spec-helper.js';
import { parseDomain } from './parse.js';

const source = parseDomain(everything);

function messagesAfter(from: string | RegExp, to: string): string[] {
  const changed = everything.replace(from, () => to);
  expect(changed).not.toBe(everything);
  return checkAbi(source, parseDomain(changed)).map(({ message }) => message);
}

describe('checkAbi', () => {
  it('finds nothing between a domain and itself', () => expect(checkAbi(source, parseDomain(everything))).toEqual([]));

  it('S4: says Target <candidate> does not match source <current>', () => {
    expect(messagesAfter("<memory unit='MiB'>256<", "<memory unit='MiB'>512<")).toEqual([
      'Target domain max memory 524288 does not match source 262144',
    ]);
    expect(() => throwIfAbiDiffers(source, parseDomain(everything.replace("'MiB'>256<", "'MiB'>512<")))).toThrow(
      'Target domain max memory 524288 does not match source 262144',
    );
  });

  it.each<[string, string | RegExp, string, RegExp]>([
    ['the type', "type='qemu' id", "type='kvm' id", /virt type kvm .* qemu/],
    ['the uuid', /<uuid>0/, '<uuid>1', /uuid 1f1e.* 0f1e/],
    ['the current memory', '>131072<', '>131073<', /current memory/],
    ['the memory backing', '<os>', '<memoryBacking><hugepages/></memoryBacking><os>', /memory backing/],
    ['the vcpus', "current='2'", "current='3'", /vcpu count 3 .* 2/],
    ['the OS type', '>hvm<', '>xen<', /OS type/],
    ['the architecture', "'x86_64'", "'i686'", /architecture/],
    ['the machine', 'pc-q35-7.2', 'pc-q35-7.1', /machine type pc-q35-7.1 .* pc-q35-7.2/],
    ['the smbios mode', '<boot dev', "<smbios mode='host'/><boot dev", /SMBIOS/],
    ['a feature', '<pae/>', '', /features/],
    ['a timer too few', "<timer name='rtc' tickpolicy='catchup'/>", '', /timers 1 .* 2/],
    ['the presence of a timer', "present='no'", "present='yes'", /timer hpet presence/],
    ['a CPU feature', "name='svm'", "name='vmx'", /CPU/],
    ['the CPU model', '>qemu64<', '>Nehalem<', /CPU/],
    ['the sysinfo', '<os>', "<sysinfo type='smbios'/><os>", /sysinfo/],
    ['the device of a disk', "device='cdrom'", "device='floppy'", /disk 1 device/],
    ['the bus of a disk', "dev='sda' bus='sata'", "dev='sda' bus='ide'", /disk 1 bus ide .* sata/],
    ['the target of a disk', "dev='vda'", "dev='vdb'", /disk 0 target vdb .* vda/],
    ['the serial of a disk', 'DISK-1', 'DISK-2', /disk 0 serial DISK-2 .* DISK-1/],
    ['the access of a disk', '<boot order', '<readonly/><boot order', /disk 0 access/],
    ['the sharing of a disk', '<boot order', '<shareable/><boot order', /disk 0 shared/],
    ['the address of a disk', "bus='0x01' slot='0x00'", "bus='0x00' slot='0x09'", /disk 0 address .*bus=0 slot=9.*bus=1 slot=0/],
    ['the drive of a disk', "target='0' unit='0'", "target='0' unit='1'", /disk 1 address/],
    ['a controller', "model='qemu-xhci'", "model='none'", /controller 3 model/],
    ['the ports of a controller', "ports='16'", "ports='8'", /controller 4 ports 8 .* 16/],
    ['the chassis of a root port', "chassis='1'", "chassis='2'", /controller 1 chassis/],
    ['the MAC address', '52:54:00:AA', '52:54:00:AB', /interface 0 mac/],
    ['the model of an interface', "<model type='virtio'/>", "<model type='e1000'/>", /interface 0 model/],
    ['the bus of an input', "type='keyboard' bus='ps2'", "type='keyboard' bus='usb'", /input 1 bus/],
    ['a video', "type='qxl'", "type='vga'", /video 0 model/],
    ['the video memory', "vram='65536'", "vram='32768'", /video 0 vram/],
    ['a balloon', "<memballoon model='virtio'/>", '', /memballoon count 0 .* 1/],
    ['a device more', '<memballoon', "<hostdev mode='subsystem' type='usb'/><memballoon", /hostdev count 1 .* 0/],
    ['a watchdog', '<memballoon', "<watchdog model='i6300esb'/><memballoon", /watchdog count/],
    ['the rng', /<rng.*<\/rng>/s, '', /rng count/],
  ])('finds a change of %s', (_, from, to, message) => {
    const messages = messagesAfter(from, to);
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatch(message);
  });

  it.each<[string, string | RegExp, string]>([
    ['the source of a disk', '/dev/vg/x', '/dev/vg/y'],
    ['the cache of a disk', "cache='none'", "cache='writeback'"],
    ['the bridge', 'br7', 'br8'],
    ['the bandwidth', "average='1000'", "average='2'"],
    ['the graphics', "port='5901'", "port='5902'"],
    ['on_reboot', '<on_reboot>destroy', '<on_reboot>restart'],
    ['the backend of a serial', '/tmp/s1.log', '/tmp/s2.log'],
    ['the name', 'guest, "one"', 'other'],
    ['the emulator', 'qemu-system-x86_64<', 'kvm<'],
    ['the case of a MAC address', '52:54:00:AA:BB:CC', '52:54:00:aa:bb:cc'],
    ['the way an address is written', "slot='0x1f'", "slot='31'"],
    ['how the CPU of a host is chosen', "check='partial'", "check='none'"],
    ['the kernel of the next start', '/boot/vmlinuz', '/boot/vmlinuz2'],
  ])('leaves %s free', (_, from, to) => expect(messagesAfter(from, to)).toEqual([]));

  it('reports all in libvirt’s order, the first as the error', () => {
    const target = parseDomain(
      everything.replace('>131072<', '>131073<').replace("dev='vda'", "dev='vdb'").replace("'qemu' id", "'kvm' id"),
    );
    const fields = checkAbi(source, target).map(({ field }) => field);
    expect(fields).toEqual(['domain virt type', 'domain current memory', 'disk 0 target']);
    try {
      throwIfAbiDiffers(source, target);
      expect.unreachable();
    } catch (error) {
      expect(error instanceof VmferryError && [error.code, error.errors.map(({ path }) => path)]).toEqual([
        'abi-mismatch',
        fields,
      ]);
    }
  });

  it('takes a bus that is not written for the one that the name stands for', () => {
    const written = parseDomain(bootSector);
    expect(checkAbi(written, parseDomain(bootSector.replace(" bus='virtio'", '')))).toEqual([]);
    expect(checkAbi(parseDomain(withDevices('')), written).map(({ field }) => field)).toEqual([
      'domain disk count',
      'domain serial count',
    ]);
  });
});

describe('checkTargetDefinition', () => {
  const codeOf = (xml: string) => {
    try {
      checkTargetDefinition(source, parseDomain(xml));
    } catch (error) {
      return VmferryError.from(error).code;
    }
    return 'accepted';
  };

  it('S24: another name is its own error, and comes first', () => {
    expect(codeOf(everything.replace('guest, "one"', 'other').replace('>131072<', '>131073<'))).toBe('invalid-argument');
    expect(codeOf(everything.replace('>131072<', '>131073<'))).toBe('abi-mismatch');
  });

  it('S33: a definition that changes nothing the guest sees is accepted', () => {
    expect(codeOf(everything.replace('/dev/vg/x', '/dev/vg/y'))).toBe('accepted');
  });
});
