import { systemClock } from '@vmferry/seams';
import { expect, it } from 'vitest';
import { Auditor } from './auditor.js';
import { type AuditRecord, logLine } from './records.js';

const domain = {
  virt: 'kvm',
  name: 'web',
  uuid: '6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d',
  pid: 42,
  memoryKib: 131072,
  vcpus: 2,
  disks: ['/a.img', '/b.img'],
  macs: ['52:54:00:00:00:01'],
};
const whom = `vm="web" uuid=${domain.uuid}`;

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

it.each([true, false])('I7: a start writes its resources first, as given, and then itself (success %j)', async (success) => {
  const { lines, auditor } = recording();
  await auditor.domainStart(domain, 'migrated', success);
  expect(lines).toEqual([
    `success=yes virt=kvm resrc=disk reason=start ${whom} old-disk="?" new-disk="/a.img"`,
    `success=yes virt=kvm resrc=disk reason=start ${whom} old-disk="?" new-disk="/b.img"`,
    `success=yes virt=kvm resrc=net reason=start ${whom} old-net=? new-net=52:54:00:00:00:01`,
    `success=yes virt=kvm resrc=mem reason=start ${whom} old-mem=0 new-mem=131072`,
    `success=yes virt=kvm resrc=vcpu reason=start ${whom} old-vcpu=0 new-vcpu=2`,
    `success=${success ? 'yes' : 'no'} virt=kvm op=start reason=migrated ${whom} vm-pid=42`,
  ]);
});

it('I7: a stop writes itself, and a stop that nobody saw says so', async () => {
  const { lines, auditor } = recording();
  await auditor.domainStop(domain, 'destroyed');
  await auditor.domainStop(domain, 'recovered');
  expect(lines).toEqual([
    `success=yes virt=kvm op=stop reason=destroyed ${whom} vm-pid=42`,
    `success=yes virt=kvm op=stop reason=recovered ${whom} vm-pid=42`,
  ]);
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
  await expect(auditor.domainStop(domain, 'failed', false)).rejects.toThrow('full');
  full = false;
  await Promise.all([auditor.domainStop(domain, 'failed', false), auditor.domainStop({ ...domain, pid: 43 }, 'failed', false)]);
  const controls = lines.filter((line) => line.includes('op='));
  expect(controls.map((line) => /op=(\w+).* vm-pid=(\d+)/.exec(line)?.slice(1))).toEqual([
    ['start', '42'],
    ['stop', '42'],
    ['stop', '43'],
  ]);
  full = true;
  await expect(auditor.startFailed(domain, 'booted')).rejects.toThrow('full');
  full = false;
  await auditor.close();
  expect(lines.filter((line) => line.includes('op=start'))).toHaveLength(2);
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
