import { readdirSync, readFileSync } from 'node:fs';
import { VmferryError } from '@vmferry/errors';
import { systemClock } from '@vmferry/seams';
import { expect, it } from 'vitest';
import { type AuditedDomain, Auditor } from './auditor.js';
import { type AuditRecord, logLine } from './records.js';

const uuid = '6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d';
const domain: AuditedDomain = {
  virt: 'kvm',
  name: 'web',
  uuid,
  pid: 42,
  label: { process: '+107:+107', image: '+107:+108' },
  resources: [
    { t: 'vcpu', reason: 'start', old: 0, new: 2 },
    { t: 'mem', reason: 'start', old: 0, new: 131072 },
    { t: 'cgroup', reason: 'allow', cgroup: '/machine/web', of: { class: 'all' } },
    { t: 'dev', reason: 'start', bus: 'pci', device: '0000:00:02.0' },
    { t: 'dev', reason: 'start', bus: 'usb', device: '001.002' },
    { t: 'net-open', mac: '52:54:00:00:00:01', path: '/dev/net/tun', rdev: { major: 10, minor: 200 } },
    { t: 'net', reason: 'start', old: null, new: '52:54:00:00:00:01' },
    { t: 'fs', reason: 'start', old: null, new: '/srv' },
    { t: 'disk', reason: 'start', old: null, new: '/a.img' },
    { t: 'disk', reason: 'start', old: null, new: '/b "c".img' },
  ],
};
const whom = `vm="web" uuid=${uuid}`;

/** What every start of this guest tells before the start itself. */
const given = [
  `success=yes virt=kvm ${whom} vm-ctx="+107:+107" img-ctx="+107:+108"`,
  `success=yes virt=kvm resrc=disk reason=start ${whom} old-disk="?" new-disk="/a.img"`,
  `success=yes virt=kvm resrc=disk reason=start ${whom} old-disk="?" new-disk=2F62202263222E696D67`,
  `success=yes virt=kvm resrc=fs reason=start ${whom} old-fs="?" new-fs="/srv"`,
  `success=yes virt=kvm resrc=net reason=start ${whom} old-net=? new-net=52:54:00:00:00:01`,
  `success=yes virt=kvm resrc=net reason=open ${whom} net=52:54:00:00:00:01 path="/dev/net/tun" rdev=0A:C8`,
  `success=yes virt=kvm resrc=dev reason=start ${whom} bus=pci device="0000:00:02.0"`,
  `success=yes virt=kvm resrc=dev reason=start ${whom} bus=usb device="001.002"`,
  `success=yes virt=kvm resrc=mem reason=start ${whom} old-mem=0 new-mem=131072`,
  `success=yes virt=kvm resrc=vcpu reason=start ${whom} old-vcpu=0 new-vcpu=2`,
  `success=yes virt=kvm resrc=cgroup reason=allow ${whom} cgroup="/machine/web" class=all`,
];

function recording(): { lines: string[]; auditor: Auditor } {
  const lines: string[] = [];
  const append = (_: Date, records: readonly AuditRecord[]) => {
    lines.push(...records.map((record) => logLine(record).text));
    return Promise.resolve();
  };
  return {
    lines,
    auditor: new Auditor({ append, last: () => Promise.resolve(null), close: () => Promise.resolve() }, systemClock),
  };
}

/** A7, "Which step audits what". */
const steps: [string, (auditor: Auditor) => Promise<void>, string[]][] = [
  ['a boot', (auditor) => auditor.domainStart(domain, 'booted', true), [...given, 'success=yes op=start reason=booted']],
  ['Prepare', (auditor) => auditor.domainStart(domain, 'migrated', true), [...given, 'success=yes op=start reason=migrated']],
  [
    'a Prepare that fails',
    (auditor) => auditor.startFailed(domain, 'migrated'),
    [...given, 'success=no op=start reason=migrated'],
  ],
  ['a boot that fails', (auditor) => auditor.startFailed(domain, 'booted'), [...given, 'success=no op=start reason=booted']],
  ['a restore', (auditor) => auditor.domainStart(domain, 'restored', true), [...given, 'success=yes op=start reason=restored']],
  ...(['migrated', 'failed', 'destroyed', 'shutdown', 'crashed', 'saved', 'recovered'] as const).map(
    (reason): [string, (auditor: Auditor) => Promise<void>, string[]] => [
      `a stop that is ${reason}`,
      (auditor) => auditor.domainStop(domain, reason),
      [`success=yes op=stop reason=${reason}`],
    ],
  ),
];

it.each(steps)('S11: A7: %s: the label, what the guest was given, then what became of it', async (_, act, told) => {
  const { lines, auditor } = recording();
  await act(auditor);
  const control = /^(success=\w+) (op=.*)$/;
  expect(lines).toEqual(told.map((line) => line.replace(control, `$1 virt=kvm $2 ${whom} vm-pid=42`)));
});

it('S11: the type of virtualization is the one of the domain, in each record', async () => {
  for (const virt of ['kvm', 'qemu', 'lxc', 'uml', 'xen']) {
    const { lines, auditor } = recording();
    await auditor.domainStart({ ...domain, virt }, 'booted', true);
    await auditor.domainStop({ ...domain, virt }, 'destroyed');
    expect(lines).toHaveLength(given.length + 2);
    for (const line of lines) expect(line).toMatch(new RegExp(`^success=yes virt=${virt} `));
  }
});

it('S11: nothing of this package is of one hypervisor', () => {
  const folder = new URL('.', import.meta.url);
  const sources = readdirSync(folder).filter((name) => name.endsWith('.ts') && !name.endsWith('.spec.ts'));
  expect(sources.length).toBeGreaterThan(4);
  for (const name of sources) {
    const imports = readFileSync(new URL(name, folder), 'utf8').match(/ from '[^']+'/g) ?? [];
    for (const from of imports) expect(from).toMatch(/'(?:node:[\w/]+|@vmferry\/(?:errors|seams|posix)|\.\/[\w-]+\.js)'$/);
    expect(readFileSync(new URL(name, folder), 'utf8')).not.toMatch(/qemu|libvirtd|\bqmp\b/i);
  }
});

it('I7: a failed start that cannot be written goes before the next record that can, once', async () => {
  const lines: string[] = [];
  let full = true;
  const append = (_: Date, records: readonly AuditRecord[]) => {
    if (full) return Promise.reject(new Error('the disk is full'));
    lines.push(...records.map((record) => logLine(record).text));
    return Promise.resolve();
  };
  const sink = { append, last: () => Promise.resolve(null), close: () => Promise.resolve() };
  const auditor = new Auditor(sink, systemClock);
  await expect(auditor.startFailed(domain, 'booted')).rejects.toThrow('full');
  await expect(auditor.domainStop(domain, 'failed')).rejects.toThrow('full');
  full = false;
  await Promise.all([auditor.domainStop(domain, 'failed'), auditor.domainStop({ ...domain, pid: 43 }, 'failed')]);
  const controls = lines.filter((line) => line.includes(' op='));
  expect(controls.map((line) => /op=(\w+).* vm-pid=(\d+)/.exec(line)?.slice(1))).toEqual([
    ['start', '42'],
    ['stop', '42'],
    ['stop', '43'],
  ]);
  full = true;
  await expect(auditor.startFailed(domain, 'booted')).rejects.toThrow('full');
  full = false;
  await auditor.close();
  expect(lines.filter((line) => line.includes(' op=start'))).toHaveLength(2);
});

it('I7: a call that cannot be written is owed, and one that no file takes is not', async () => {
  const lines: string[] = [];
  const problems: Error[] = [new Error('full'), new VmferryError('invalid-argument', 'too long')];
  const append = (_: Date, records: readonly AuditRecord[]) => {
    const problem = problems.shift();
    if (problem !== undefined) return Promise.reject(problem);
    lines.push(...records.map(({ text }) => text));
    return Promise.resolve();
  };
  const auditor = new Auditor({ append, last: () => Promise.resolve(null), close: () => Promise.resolve() }, systemClock);
  const call = { principal: 'p', requestId: 'r', method: 'POST', path: '/', outcome: 'ok', success: true };
  await expect(auditor.api({ ...call, requestId: 'owed' })).rejects.toThrow('full');
  problems.unshift(new Error('still full'));
  await expect(auditor.domainStop(domain, 'failed')).rejects.toThrow('still full');
  problems.splice(0);
  await auditor.domainStop(domain, 'failed');
  problems.push(new VmferryError('invalid-argument', 'too long'));
  await expect(auditor.api(call)).rejects.toThrow('too long');
  await auditor.api({ ...call, requestId: 'last' });
  expect(lines.map((line) => /request-id="(\w+)"|op=(\w+)/.exec(line)?.slice(1).find(Boolean))).toEqual(['owed', 'stop', 'last']);
});

it('writes who asked for what', async () => {
  const { lines, auditor } = recording();
  await auditor.api({
    principal: 'CN=ops team',
    requestId: 'r1',
    method: 'POST',
    path: '/v1/migrations',
    outcome: '202',
    success: true,
  });
  expect(lines).toEqual([
    `success=yes principal=${Buffer.from('CN=ops team').toString('hex').toUpperCase()} request-id="r1" method="POST" path="/v1/migrations" outcome="202"`,
  ]);
});
