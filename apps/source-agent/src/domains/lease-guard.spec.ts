import { join } from 'node:path';
import { EmbeddedLocks, vmResource } from '@vmferry/locking';
import { systemClock } from '@vmferry/seams';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runningAgent } from '../testing/running-agent.js';

/** A real QEMU with nothing but its firmware, and a host that shares the lock folder with this one. */
const uuid = '66666666-6666-4666-8666-666666666666';
const xml = `<domain type='qemu'><name>leased</name><uuid>${uuid}</uuid><memory unit='KiB'>8192</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><devices><memballoon model='none'/></devices></domain>`;
const resources = [vmResource(uuid)];
const proof = { t: 'operator', statement: 'a word that is wrong' } as const;

let agent: Awaited<ReturnType<typeof runningAgent>>;
let other: EmbeddedLocks;
beforeAll(async () => {
  agent = await runningAgent();
  const folder = join(agent.folder, 'state/locks');
  other = await EmbeddedLocks.open({ folder, scope: 'shared', hostUuid: 'another-host', clock: systemClock });
});
afterAll(() => agent.end());

const post = (path: string, body: object = {}) => request(agent.url).post(path).send(body);
const domain = async () => (await request(agent.url).get('/v1/domains/leased')).body;
const status = async () => (await post('/v1/domains/leased/monitor', { execute: 'query-status' })).body.return.status;

describe('I1: a guest whose lease another host has', () => {
  it('is stopped, says so, is not run again while the other has it, and runs on once it is free', async () => {
    await post('/v1/domains', { xml, transient: true }).expect(201);
    const { state } = await other.inquire(uuid, resources);
    await other.breakLock(uuid, resources, state.grants[0]?.epoch ?? '', proof, 'root');
    const taken = await other.acquire(uuid, resources);
    await expect
      .poll(() => domain())
      .toMatchObject({
        state: 'paused',
        reason: 'unknown',
        warning: expect.stringMatching(/lease of this guest is lost/) as unknown,
      });
    expect(await status()).toBe('paused');
    expect((await post('/v1/domains/leased/resume').expect(409)).body.code).toBe('lease-busy');
    expect(await status()).toBe('paused');
    await other.release(uuid, resources);
    await post('/v1/domains/leased/resume').expect(200);
    expect(await status()).toBe('running');
    expect((await domain()).warning).toBeNull();
    expect(BigInt((await other.inquire(uuid, resources)).state.grants[0]?.epoch ?? '0')).toBeGreaterThan(
      BigInt(taken.grants[0]?.epoch ?? '0'),
    );
    await post('/v1/domains/leased/destroy').expect(200);
  });
});
