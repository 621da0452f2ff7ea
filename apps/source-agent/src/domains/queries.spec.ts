import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runningAgent } from '../testing/running-agent.js';

const uuid = '44444444-4444-4444-8444-444444444444';
const folder = mkdtempSync(join(tmpdir(), 'vfq-'));
const disk = join(folder, 'disk.img');
const balloonless = "<memballoon model='none'/>";
const balloon = "<memballoon model='virtio'/>";
const xmlOf = (name: string, id: string, devices: string) =>
  `<domain type='qemu'><name>${name}</name><uuid>${id}</uuid><memory unit='KiB'>8192</memory><vcpu>1</vcpu>` +
  `<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>${devices}</devices></domain>`;
const diskXml = `<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>`;
const cdromXml = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>";

let agent: Awaited<ReturnType<typeof runningAgent>>;
beforeAll(async () => {
  // One page written and the rest a hole: length and allocation differ.
  writeFileSync(disk, Buffer.alloc(4_096, 1));
  truncateSync(disk, 1_048_576);
  agent = await runningAgent();
  const domains = [
    ['quiz', uuid, diskXml + cdromXml + balloonless],
    ['balloon', uuid.replaceAll('4', '5'), balloon],
  ] as const;
  for (const [name, id, devices] of domains)
    await request(agent.url)
      .post('/v1/domains')
      .send({ xml: xmlOf(name, id, devices), transient: true, paused: true })
      .expect(201);
});
afterAll(async () => {
  for (const name of ['quiz', 'balloon']) await request(agent.url).post(`/v1/domains/${name}/destroy`).send({});
  await agent.end();
  rmSync(folder, { recursive: true });
});

const ask = async (what: string, domain = 'quiz') =>
  (await request(agent.url).get(`/v1/domains/${domain}/${what}`).expect(200)).body;

describe('what an active domain is asked', () => {
  it('S25: block info: capacity, allocation and length of the file under the name of its target; an empty drive has none', async () => {
    const { disks } = await ask('block-info');
    expect(disks).toEqual([
      { target: 'vda', path: disk, capacityBytes: 1_048_576, allocationBytes: expect.any(Number), physicalBytes: 1_048_576 },
    ]);
    expect(disks[0].allocationBytes).toBeGreaterThan(0);
    expect(disks[0].allocationBytes).toBeLessThan(1_048_576);
  });

  it('S25: block stats: each disk under the name of its target', async () => {
    const { disks } = await ask('block-stats');
    expect(disks.map(({ target }: { target: string }) => target).sort()).toEqual(['sda', 'vda']);
    expect(disks[0]).toMatchObject({ readBytes: 0, writeBytes: 0, flushRequests: 0 });
  });

  it('S9: memory stats without a balloon: what it was given; what the guest alone knows is said to be unknown', async () => {
    const stats = await ask('memory-stats');
    expect(stats).toMatchObject({
      actualKib: 8_192,
      maximumKib: 8_192,
      balloon: false,
      unknown: expect.stringMatching(/polled/),
    });
    expect(stats.rssKib).toBeGreaterThan(1_000);
  });

  it('S9: memory stats with a balloon: the figure is the balloon', async () => {
    expect(await ask('memory-stats', 'balloon')).toMatchObject({ actualKib: 8_192, balloon: true });
  });

  it('S9: the job of a domain without one is none; there is nothing to abort', async () => {
    expect(await ask('job')).toEqual({
      current: expect.objectContaining({ type: 'none', kind: null, phase: 'none', startedAt: null, timeElapsedMs: 0 }),
      last: null,
    });
    const { body } = await request(agent.url).post('/v1/domains/quiz/job/abort').send({}).expect(409);
    expect(body.code).toBe('no-active-job');
  });
});
