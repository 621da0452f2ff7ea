import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeFd, flockExclusive, openFile } from '@vmferry/posix';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ForeignQemu, startForeignQemu } from '../testing/foreign-qemu.js';
import { runningAgent } from '../testing/running-agent.js';

const uuid = '88888888-8888-4888-8888-888888888888';
const folder = mkdtempSync(join(tmpdir(), 'vfa-'));
const [disk, other] = [join(folder, 'disk.img'), join(folder, 'other.img')];

interface Told {
  readonly name?: string;
  readonly uuid?: string;
  readonly memoryKib?: number;
  readonly vcpus?: number;
  readonly machine?: string;
  readonly disk?: string;
  readonly slot?: number;
  readonly type?: string;
}
const xmlOf = (o: Told = {}) =>
  `<domain type='${o.type ?? 'qemu'}'><name>${o.name ?? 'foreign'}</name><uuid>${o.uuid ?? uuid}</uuid>` +
  `<memory unit='KiB'>${o.memoryKib ?? 8_192}</memory><vcpu>${o.vcpus ?? 1}</vcpu>` +
  `<os><type arch='x86_64' machine='${o.machine ?? 'q35'}'>hvm</type></os><devices>` +
  `<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${o.disk ?? disk}'/><target dev='vda' bus='virtio'/>` +
  `<address type='pci' domain='0' bus='0' slot='${o.slot ?? 3}' function='0'/></disk><memballoon model='none'/></devices></domain>`;
const diskArguments = (locking: string) => [
  ...['-drive', `file=${disk},if=none,id=d,format=raw,file.locking=${locking}`],
  ...['-device', 'virtio-blk-pci,drive=d,bus=pcie.0,addr=3.0'],
];

let agent: Awaited<ReturnType<typeof runningAgent>>;
let qemu: ForeignQemu;
beforeAll(async () => {
  for (const path of [disk, other]) {
    writeFileSync(path, '');
    truncateSync(path, 1_048_576);
  }
  agent = await runningAgent();
  qemu = await startForeignQemu(folder, uuid, diskArguments('on'));
});
afterAll(async () => {
  await agent.end();
  await qemu.end();
  rmSync(folder, { recursive: true });
});

const attach = (xml = xmlOf(), of: { pid?: number; monitor?: string } = {}) =>
  request(agent.url)
    .post('/v1/domains/attach')
    .send({ xml, pid: of.pid ?? qemu.pid, monitor: of.monitor ?? qemu.monitor });
const domains = async () => (await request(agent.url).get('/v1/domains')).body.domains;
const audit = () => readFileSync(join(agent.folder, 'state/source-agent.audit'), 'utf8');
const status = () => join(agent.folder, 'state/run', uuid, 'status.xml');

describe('what is not one guest is not attached, and nothing is left of it', () => {
  it.each<[string, Told, RegExp]>([
    ['another uuid', { uuid: uuid.replace('8888', '9999') }, /the uuid is 99998888/],
    ['another name', { name: 'other' }, /the name is "other" in the definition and "foreign" in QEMU/],
    ['another memory', { memoryKib: 4_096 }, /memory in KiB is 4096 in the definition and 8192 in QEMU/],
    ['other processors', { vcpus: 2 }, /processors is 2 in the definition and 1/],
    ['another machine', { machine: 'pc' }, /the machine is pc-i440fx/],
    ['another disk', { disk: other }, /disk images/],
    ['another place on the bus', { slot: 4 }, /PCI places in use is \{4\.0\} in the definition and \{3\.0\} in QEMU/],
  ])('%s', async (_, told, words) => {
    const { body } = await attach(xmlOf(told)).expect(422);
    expect([body.code, body.detail]).toEqual(['attach-mismatch', expect.stringMatching(words)]);
    expect(body.data.differences.length).toBeGreaterThan(0);
    expect(await domains()).toEqual([]);
    expect(existsSync(status())).toBe(false);
  });

  it('a process that is no QEMU, one that is not there, and a monitor of another', async () => {
    const none = await attach(xmlOf(), { pid: 4_194_303 }).expect(422);
    const shell = await attach(xmlOf(), { pid: process.pid }).expect(422);
    const second = await startForeignQemu(folder, '99999999-8888-4888-8888-888888888888', []);
    const stranger = await attach(xmlOf(), { pid: second.pid }).expect(422);
    await second.end();
    expect([none.body, shell.body, stranger.body].map(({ code, detail }) => `${code}: ${detail}`)).toEqual([
      expect.stringMatching(/^attach-mismatch: There is no process 4194303/),
      expect.stringMatching(/^attach-mismatch: Process \d+ executes .*node/),
      expect.stringMatching(new RegExp(`^attach-mismatch: The monitor .* is that of process ${qemu.pid}, not of ${second.pid}`)),
    ]);
    const nothing = await attach(xmlOf(), { monitor: join(folder, 'none.qmp') }).expect(504);
    expect(nothing.body.code).toBe('monitor-timeout');
    expect(await domains()).toEqual([]);
  });

  it.each([[{ pid: 0 }], [{ monitor: 'relative' }], [{ monitor: `/${'x'.repeat(107)}` }]])(
    '%j is refused by its form',
    async (of) => {
      expect((await attach(xmlOf(), of).expect(422)).body.code).toBe('invalid-argument');
    },
  );

  it('S12: a definition that is not accepted', async () => {
    expect((await attach(xmlOf({ type: 'lxc' })).expect(422)).body.code).toBe('domain-type-unexpected');
  });

  it('a domain of this name or uuid that is there', async () => {
    await request(agent.url).post('/v1/domains').send({ xml: xmlOf() }).expect(201);
    expect((await attach().expect(409)).body.code).toBe('domain-exists');
    await request(agent.url).delete('/v1/domains/foreign').expect(204);
  });
});

describe('a QEMU that something else has started', () => {
  it('becomes a domain: listed, tainted, audited, with its lease and its live lock, and it keeps on running', async () => {
    const { body, headers } = await attach().expect(201);
    expect(headers.location).toBe(`/v1/domains/${uuid}`);
    expect(body).toMatchObject({ state: 'running', reason: 'unknown', pid: qemu.pid, persistent: false, warning: null });
    expect(body.tainted).toEqual(['external-launch']);
    expect(readFileSync(status(), 'utf8')).toContain("<taint flag='external-launch'/>");
    expect(audit()).toMatch(
      new RegExp(`success=yes virt=qemu op=start reason=booted vm="foreign" uuid=${uuid} vm-pid=${qemu.pid}`),
    );
    const lease = readFileSync(join(agent.folder, 'state/locks', `vm-${uuid}.json`), 'utf8');
    expect(JSON.parse(lease).owner).not.toBeNull();
    expect(await liveLockIsHeld()).toBe(true);
  });

  it('is asked, paused and resumed like any other', async () => {
    const { body } = await request(agent.url).get('/v1/domains/foreign/block-info').expect(200);
    expect(body.disks).toMatchObject([{ target: 'vda', path: disk, capacityBytes: 1_048_576 }]);
    for (const [act, state] of [
      ['suspend', 'paused'],
      ['resume', 'running'],
    ]) {
      const told = await request(agent.url).post(`/v1/domains/foreign/${act}`).send({}).expect(200);
      expect(told.body.state).toBe(state);
    }
    expect((await attach().expect(409)).body.code).toBe('domain-exists');
  });

  it('is destroyed like any other, and its lock goes with it', async () => {
    await request(agent.url).post('/v1/domains/foreign/destroy').send({}).expect(200);
    expect(await domains()).toEqual([]);
    expect(existsSync(status())).toBe(false);
    expect(await liveLockIsHeld()).toBe(false);
    expect(audit()).toMatch(new RegExp(`op=stop reason=destroyed vm="foreign" uuid=${uuid} vm-pid=${qemu.pid}`));
  });

  it('is told of when it has no lock on its image', async () => {
    await qemu.end();
    qemu = await startForeignQemu(folder, uuid, diskArguments('off'));
    const { body } = await attach().expect(201);
    expect(body.warning).toMatch(/no image lock on vda/);
  });
});

/** The lock file of the guest on this host, tried as a second QEMU of it would. */
async function liveLockIsHeld(): Promise<boolean> {
  const { body } = await request(agent.url).get('/version');
  const fd = openFile(join(agent.folder, 'state/locks', `vm-${uuid}.live.${body.hostUuid}`), 0, 0);
  try {
    return !flockExclusive(fd);
  } finally {
    closeFd(fd);
  }
}

it('an attached guest has its display where its QEMU really shows it', async () => {
  const id = '77777777-8888-4888-8888-888888888888';
  const [host, shown] = [await runningAgent(), await startForeignQemu(folder, id, ['-vnc', '127.0.0.1:70,to=99'])];
  const xml = xmlOf({ uuid: id }).replace(/<disk.*<\/disk>/, "<graphics type='vnc' autoport='yes'/>");
  const { body } = await request(host.url)
    .post('/v1/domains/attach')
    .send({ xml, pid: shown.pid, monitor: shown.monitor })
    .expect(201);
  expect(body.display).toMatchObject({ type: 'vnc', listen: '127.0.0.1', tlsPort: null });
  expect(body.display.port).toBeGreaterThanOrEqual(5_970);
  expect((await request(host.url).get(`/v1/domains/${id}/xml`)).body.xml).toContain(`port='${body.display.port}'`);
  await shown.end();
  await host.end();
});
