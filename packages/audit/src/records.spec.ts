import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeDevice, encodeField } from './encoding.js';
import { formatControl, formatLabel, formatResource, logLine, type ResourceFacts } from './records.js';

const uuid = '6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d';
const guest = { virt: 'qemu', name: 'probe2', uuid };

describe('audit records (libvirt-protocol, A7)', () => {
  it('S11: carry the type of virtualization that the domain says', () => {
    for (const virt of ['qemu', 'kvm', 'xen', 'lxc', 'uml']) {
      expect(formatControl({ ...guest, virt }, { op: 'start', reason: 'booted', success: true }).text).toMatch(
        new RegExp(`^virt=${virt} `),
      );
    }
  });

  it('control: a start and a stop', () => {
    const start = formatControl(guest, { op: 'start', reason: 'migrated', pid: 28094, success: true });
    expect(logLine(start)).toEqual({
      level: 'info',
      text: `success=yes virt=qemu op=start reason=migrated vm="probe2" uuid=${uuid} vm-pid=28094`,
    });
    const stop = formatControl(guest, { op: 'stop', reason: 'failed', success: false });
    expect(logLine(stop)).toEqual({ level: 'warn', text: `success=no virt=qemu op=stop reason=failed vm="probe2" uuid=${uuid}` });
  });

  const whom = `vm="probe2" uuid=${uuid}`;
  it.each<[ResourceFacts, string]>([
    [
      { t: 'disk', reason: 'start', old: null, new: '/var/a.img' },
      `virt=qemu resrc=disk reason=start ${whom} old-disk="?" new-disk="/var/a.img"`,
    ],
    [{ t: 'fs', reason: 'start', old: null, new: '/srv' }, `virt=qemu resrc=fs reason=start ${whom} old-fs="?" new-fs="/srv"`],
    [
      { t: 'net', reason: 'start', old: null, new: '52:54:00:aa:bb:cc' },
      `virt=qemu resrc=net reason=start ${whom} old-net=? new-net=52:54:00:aa:bb:cc`,
    ],
    [{ t: 'mem', reason: 'start', old: 0, new: 131072 }, `virt=qemu resrc=mem reason=start ${whom} old-mem=0 new-mem=131072`],
    [{ t: 'vcpu', reason: 'start', old: 0, new: 2 }, `virt=qemu resrc=vcpu reason=start ${whom} old-vcpu=0 new-vcpu=2`],
    [
      { t: 'dev', reason: 'start', bus: 'pci', device: '0000:00:02.0' },
      `virt=qemu resrc=dev reason=start ${whom} bus=pci device="0000:00:02.0"`,
    ],
    [
      { t: 'net-open', mac: '52:54:00:aa:bb:cc', path: '/dev/net/tun', rdev: { major: 10, minor: 200 } },
      `virt=qemu resrc=net reason=open ${whom} net=52:54:00:aa:bb:cc path="/dev/net/tun" rdev=0A:C8`,
    ],
    [
      { t: 'cgroup', reason: 'deny', cgroup: '/g', of: { class: 'all' } },
      `virt=qemu resrc=cgroup reason=deny ${whom} cgroup="/g" class=all`,
    ],
    [
      { t: 'cgroup', reason: 'allow', cgroup: '/g', of: { class: 'major', category: 'C', major: 88, acl: 'rw' } },
      `virt=qemu resrc=cgroup reason=allow ${whom} cgroup="/g" class=major category=C maj=88 acl=rw`,
    ],
    [
      {
        t: 'cgroup',
        reason: 'allow',
        cgroup: '/g',
        of: { class: 'path', path: '/dev/kvm', rdev: { major: 10, minor: 232 }, acl: 'rw' },
      },
      `virt=qemu resrc=cgroup reason=allow ${whom} cgroup="/g" class=path path="/dev/kvm" rdev=0A:E8 acl=rw`,
    ],
  ])('resource: %j', (facts, text) => {
    expect(formatResource(guest, facts)).toEqual({ type: 'VIRT_RESOURCE', success: true, text });
  });

  it('label', () => {
    expect(formatLabel(guest, { process: '107:107', image: '107:107' })).toEqual({
      type: 'VIRT_MACHINE_ID',
      success: true,
      text: `virt=qemu ${whom} vm-ctx="107:107" img-ctx="107:107"`,
    });
  });

  it.each([
    ['a"b', 'vm=612262'],
    ['a\nb', 'vm=610A62'],
    ['ä', 'vm=C3A4'],
    ['a b', 'vm=612062'],
    ['\x7f', 'vm=7F'],
    ['', 'vm=""'],
    [null, 'vm=?'],
    ['100%s', 'vm="100%s"'],
  ])('encodes %j', (value, field) => {
    expect(encodeField('vm', value)).toBe(field);
  });

  it('writes device numbers with at least two digits', () => {
    expect(encodeDevice({ major: 8, minor: 1048575 })).toBe('08:FFFFF');
  });

  it('a hostile value never leaves its field, and can be read back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const { text } = formatControl({ ...guest, name }, { op: 'start', reason: 'booted', success: true });
        const match = /^virt=qemu op=start reason=booted vm=(?:"([!#-~]*)"|([0-9A-F]+)) uuid=[0-9a-f-]{36}$/.exec(text);
        expect(match).not.toBeNull();
        const decoded = match?.[1] ?? Buffer.from(match?.[2] ?? '', 'hex').toString('utf8');
        expect(decoded).toBe(Buffer.from(name, 'utf8').toString('utf8'));
      }),
    );
  });

  it('refuses to write as a plain word what is none', () => {
    expect(() => formatControl({ ...guest, virt: 'qemu op=stop' }, { op: 'start', reason: 'booted', success: true })).toThrow(
      'plain word',
    );
    expect(() => formatControl({ ...guest, uuid: 'x\ny' }, { op: 'start', reason: 'booted', success: true })).toThrow(
      'plain word',
    );
    expect(() => formatResource(guest, { t: 'net', reason: 'start', old: null, new: 'x y' })).toThrow('MAC');
  });
});
