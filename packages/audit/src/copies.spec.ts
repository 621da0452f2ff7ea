import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '@vmferry/seams';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { AuditSink } from './auditor.js';
import { CopiedAudit } from './copied-audit.js';
import { openAudit, verifyAuditFile } from './index.js';
import { KernelCopy } from './kernel-copy.js';
import { SyslogCopy } from './syslog-copy.js';

const uuid = '6f5a4f4e-0d0c-4b0a-9c8d-7e6f5a4b3c2d';
const guest = { virt: 'lxc', name: 'a "b"\n%s', uuid, pid: 7, label: null, resources: [] };
const text = `virt=lxc op=stop reason=destroyed vm=612022622 uuid=${uuid} vm-pid=7`.replace('612022622', '61202262220A2573');

let folder: string;
const readers: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'copies-'));
});
afterEach(() => {
  for (const reader of readers.splice(0)) reader.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** Another program, whose lines are told one by one; the first says that it listens. */
async function reader(program: string, ...args: string[]): Promise<{ next(): Promise<string>; end(): Promise<void> }> {
  const child = spawn('python3', ['-u', '-c', program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  readers.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => String((await lines.next()).value);
  expect(await next()).toBe('listening');
  return {
    next,
    async end() {
      const gone = once(child, 'exit');
      child.stdin.end();
      await gone;
    },
  };
}

/** A syslog daemon in a few lines: each datagram as it came, quoted. Ends with its standard input. */
const syslogd = `
import os, select, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening')
while True:
    ready = select.select([s, sys.stdin], [], [])[0]
    if s in ready: print(ascii(s.recv(100000).decode()))
    elif not sys.stdin.read(): break
os.unlink(sys.argv[1])
`;

/**
 * Switches the kernel's audit on when it is off and nobody minds it, tells the messages of the type VIRT_CONTROL that are multicast to readers, and
 * switches it off again when its standard input ends. Says "forbidden" where it may do none of that.
 */
const kernelReader = `
import os, select, socket, struct, sys
def ask(s, type, data=b''):
    s.send(struct.pack('IHHII', 16 + len(data), type, 5, 1, 0) + data)
    answers = [s.recv(9000)]
    while select.select([s], [], [], 0.2)[0]: answers.append(s.recv(9000))
    error = struct.unpack('i', answers[0][16:20])[0]
    if error: raise OSError(-error, os.strerror(-error))
    return answers[-1][16:]
try:
    control = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
    mask, enabled, failure, daemon = struct.unpack('IIII', ask(control, 1000)[:16])
    reader = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
    reader.bind((0, 1))
    switch = lambda on: ask(control, 1001, struct.pack('II', 1, on) + bytes(40))
    if not enabled: switch(1)
except OSError as e:
    print('forbidden: ' + str(e))
    sys.exit()
try:
    print('listening')
    while True:
        ready = select.select([reader, sys.stdin], [], [])[0]
        if reader in ready:
            message = reader.recv(9000)
            if struct.unpack('H', message[4:6])[0] == 2500: print(message[16:].decode())
        elif not sys.stdin.read(): break
finally:
    if not enabled: switch(0)
`;

const logged = () => {
  const warnings: { message: string; [field: string]: unknown }[] = [];
  return { warnings, log: { warn: (message: string, fields: object) => void warnings.push({ message, ...fields }) } };
};

it('syslog: a daemon gets each record as libc would send it, and a newer one under the same path', async () => {
  const path = join(folder, 'log');
  const copy = new SyslogCopy({ path, app: 'source-agent', pid: 9 });
  const at = new Date(2026, 0, 5, 3, 4, 5);
  for (let life = 0; life < 2; life += 1) {
    const daemon = await reader(syslogd, path);
    copy.send(at, { type: 'VIRT_CONTROL', success: true, text: 'a=1' });
    copy.send(at, { type: 'VMFERRY_API', success: false, text: 'b=2' });
    expect(await daemon.next()).toBe("'<86>Jan  5 03:04:05 source-agent[9]: type=VIRT_CONTROL success=yes a=1'");
    expect(await daemon.next()).toBe("'<84>Jan  5 03:04:05 source-agent[9]: type=VMFERRY_API success=no b=2'");
    await daemon.end();
    expect(() => copy.send(at, { type: 'VIRT_CONTROL', success: true, text: 'lost' })).toThrow(/ENOENT/);
  }
  copy.close();
});

it('syslog: one that reads nothing is not waited for', async () => {
  const path = join(folder, 'log');
  const daemon = await reader(`${syslogd.split('while')[0]}\nsys.stdin.read()`, path);
  const copy = new SyslogCopy({ path, app: 'a', pid: 1 });
  const fill = () => {
    for (let count = 0; count < 10_000; count += 1) copy.send(new Date(), { type: 'VIRT_CONTROL', success: true, text: 'x' });
  };
  expect(fill).toThrow(/EAGAIN/);
  copy.close();
  await daemon.end();
});

it("kernel: another program reads the record from the kernel, in libaudit's form", async ({ skip }) => {
  const kernel = await reader(kernelReader).catch((error: unknown) => {
    if (!String(error).includes('forbidden')) throw error;
    process.stderr.write(
      `\nSKIPPED: the kernel's audit cannot be used here, so what it gets of a record was not tested (${String(error)})\n\n`,
    );
    return null;
  });
  if (kernel === null) return skip();
  const { warnings, log } = logged();
  const auditor = await openAudit({ app: 'a', path: join(folder, 'audit'), copies: ['kernel'], clock: systemClock, log });
  await auditor.domainStop(guest, 'destroyed');
  // Has no type there.
  await auditor.api({ principal: 'p', requestId: 'r', method: 'POST', path: '/', outcome: 'ok', success: true });
  await auditor.close();
  const told = await kernel.next();
  await kernel.end();
  expect(told).toMatch(/^audit\(\d+\.\d+:\d+\): pid=\d+ uid=\d+ .*msg='/);
  expect(told).toContain(`msg='${text} exe="${process.execPath}" hostname=? addr=? terminal=? res=success'`);
  expect(warnings).toEqual([]);
  expect(await verifyAuditFile(join(folder, 'audit'))).toMatchObject({ records: 2 });
  const copy = new KernelCopy('/bin/node');
  const long = { type: 'VIRT_CONTROL', success: true, text: 'x'.repeat(8_560) } as const;
  expect(() => copy.send(new Date(), long)).toThrow(/at most 8560 bytes/);
  copy.close();
});

it('kernel: one that is switched off or forbidden is told of at the start, once, and the file goes on', async () => {
  const { warnings, log } = logged();
  const path = join(folder, 'audit');
  const auditor = await openAudit({ app: 'a', path, copies: ['kernel', 'kernel'], clock: systemClock, log });
  const told = warnings.map(({ message }) => message);
  await auditor.domainStop(guest, 'destroyed');
  await auditor.domainStop(guest, 'destroyed');
  await auditor.close();
  // Which of them depends on the machine; where its audit is on, there is nothing to tell.
  expect(told.length).toBeLessThanOrEqual(1);
  for (const message of told) expect(message).toMatch(/^the kernel's audit (is off|cannot be used)/);
  expect(warnings).toHaveLength(told.length);
  expect(readFileSync(path, 'utf8').match(/ type=VIRT_CONTROL success=yes virt=lxc op=stop /g)).toHaveLength(2);
});

it('kernel: a process without the right to audit learns it before its first record', async () => {
  const program = `
    import { setgid, setuid } from 'node:process';
    import { openAudit } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
    if (process.getuid() === 0) { setgid(65534); setuid(65534); }
    const log = { warn: (message, { sink, error }) => console.log(message, '|', sink, '|', error?.data.name) };
    const clock = { wall: () => new Date(), monotonicMs: () => 0, after: () => ({ cancel() {} }) };
    const auditor = await openAudit({ app: 'a', path: process.argv[1], copies: ['kernel'], clock, log });
    await auditor.domainStop(${JSON.stringify(guest)}, 'destroyed');
    await auditor.close();`;
  const own = mkdtempSync(join(tmpdir(), 'copies-'));
  const path = join(own, 'audit');
  chmodSync(own, 0o777);
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  for await (const chunk of child.stdout) said += String(chunk);
  expect(said).toMatch(/^the kernel's audit cannot be used: .* \| kernel \| (EPERM|ECONNREFUSED|EPROTONOSUPPORT)\n$/);
  expect(await verifyAuditFile(path)).toMatchObject({ records: 1 });
  rmSync(own, { recursive: true });
});

it('I7: no sink loses a record for the failure of another, and each outage is told once', async () => {
  const path = join(folder, 'log');
  const { warnings, log } = logged();
  const taken: string[] = [];
  let fileFails = false;
  const file: AuditSink = {
    append: (_, records) => {
      if (fileFails) return Promise.reject(new Error('the disk is full'));
      taken.push(...records.map((record) => record.text));
      return Promise.resolve();
    },
    last: () => Promise.resolve(null),
    close: () => Promise.resolve(),
  };
  const sink = new CopiedAudit(file, [new SyslogCopy({ path, app: 'a', pid: 1 })], log);
  const append = (name: string) => sink.append(new Date(), [{ type: 'VIRT_CONTROL', success: true, text: name }]);
  await append('one');
  await append('two');
  expect(warnings).toMatchObject([{ sink: 'syslog', error: { code: 'system-call-failed' } }]);
  const daemon = await reader(syslogd, path);
  await append('three');
  fileFails = true;
  await expect(append('four')).rejects.toThrow('full');
  expect([await daemon.next(), await daemon.next()].map((line) => /(\w+)'$/.exec(line)?.[1])).toEqual(['three', 'four']);
  expect(taken).toEqual(['one', 'two', 'three']);
  expect(warnings.slice(1)).toEqual([{ message: 'an audit sink takes records again', sink: 'syslog', lost: 2 }]);
  await sink.close();
  await daemon.end();
});
