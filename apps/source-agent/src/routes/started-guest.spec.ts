import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runningAgent } from '../testing/running-agent.js';

/** Routes that need a guest that runs: a real QEMU with nothing but its firmware. */
const uuid = '77777777-7777-4777-8777-777777777777';
const xml = `<domain type='qemu'><name>run</name><uuid>${uuid}</uuid><memory unit='KiB'>8192</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><devices><memballoon model='none'/></devices></domain>`;

let agent: Awaited<ReturnType<typeof runningAgent>>;
beforeAll(async () => {
  agent = await runningAgent();
});
afterAll(() => agent.end());

const post = (path: string, body: object = {}) => request(agent.url).post(path).send(body);
const sessionOf = async (ttlSeconds: number): Promise<string> => (await post('/v1/sessions', { ttlSeconds }).expect(201)).body.id;
const audit = () => readFileSync(join(agent.folder, 'state/source-agent.audit'), 'utf8');
const domain = async () => (await request(agent.url).get('/v1/domains/run')).body;
const gone = () => expect.poll(() => domain(), { timeout: 10_000 });

describe('autodestroy', () => {
  it('S17: a guest that was created with a session ends with it, when it is deleted', async () => {
    const autodestroy = await sessionOf(60);
    const { body } = await post('/v1/domains', { xml, transient: true, autodestroy }).expect(201);
    expect(body).toMatchObject({ state: 'running', autodestroy: true });
    const refused = await post('/v1/migrations', { domain: 'run', destination: 'http://127.0.0.1:1' }).expect(409);
    expect(refused.body.code).toBe('domain-autodestroy');
    const managed = await post('/v1/migrations/m1/begin', { domain: 'run' }).expect(409);
    expect(managed.body.code).toBe('domain-autodestroy');
    await request(agent.url).delete(`/v1/sessions/${autodestroy}`).expect(204);
    await gone().toMatchObject({ code: 'domain-not-found' });
    expect(audit()).toMatch(
      new RegExp(`success=yes virt=qemu op=stop reason=destroyed vm="run" uuid=${uuid} vm-pid=${body.pid}`),
    );
    expect(existsSync(join(agent.folder, 'state/run', uuid, 'status.xml'))).toBe(false);
  });

  it('S17: a persistent one is shut off when its session is not renewed', async () => {
    await post('/v1/domains', { xml }).expect(201);
    const { body } = await post('/v1/domains/run/start', { autodestroy: await sessionOf(1) }).expect(200);
    expect(body).toMatchObject({ state: 'running', autodestroy: true });
    await gone().toMatchObject({ state: 'shutoff', reason: 'destroyed', autodestroy: false, pid: null });
    await request(agent.url).delete('/v1/domains/run').expect(204);
  });

  it('S17: a session that is not there is refused, and nothing is started', async () => {
    await post('/v1/domains', { xml }).expect(201);
    const { body } = await post('/v1/domains/run/start', { autodestroy: uuid }).expect(404);
    expect(body.code).toBe('session-not-found');
    expect((await domain()).state).toBe('shutoff');
    const defined = await post('/v1/domains', { xml, autodestroy: uuid }).expect(422);
    expect(defined.body.code).toBe('invalid-argument');
    await request(agent.url).delete('/v1/domains/run').expect(204);
  });
});

describe('the monitor', () => {
  beforeAll(async () => {
    await post('/v1/domains', { xml, transient: true, paused: true }).expect(201);
  });
  afterAll(() => post('/v1/domains/run/destroy').expect(200));

  it('a command that is refused is not sent, and taints nothing', async () => {
    const { body } = await post('/v1/domains/run/monitor', { execute: 'cont' }).expect(422);
    expect(body.code).toBe('monitor-command-refused');
    expect(await domain()).toMatchObject({ state: 'paused', tainted: [] });
    expect(audit()).toMatch(/success=no .*path="\/v1\/domains\/[0-9a-f-]+\/monitor" outcome="monitor-command-refused:cont"/);
  });

  it("one that is passed on is answered in QEMU's words, audited with its principal, and taints the domain durably", async () => {
    const { body } = await post('/v1/domains/run/monitor', { execute: 'query-status' }).expect(200);
    expect(body.return).toMatchObject({ running: false, status: 'prelaunch' });
    const type = { path: '/machine', property: 'type' };
    const qom = await post('/v1/domains/run/monitor', { execute: 'qom-get', arguments: type }).expect(200);
    expect(qom.body.return).toMatch(/^pc-q35-.*-machine$/);
    const info = { 'command-line': 'info status' };
    const hmp = await post('/v1/domains/run/monitor', { execute: 'human-monitor-command', arguments: info }).expect(200);
    expect(hmp.body.return).toMatch(/^VM status: paused/);
    expect((await domain()).tainted).toEqual(['custom-monitor']);
    expect(readFileSync(join(agent.folder, 'state/run', uuid, 'status.xml'), 'utf8')).toContain("<taint flag='custom-monitor'/>");
    expect(audit()).toMatch(/success=yes principal="local" .*outcome="ok:qom-get"/);
  });

  it("what QEMU refuses is told with QEMU's words", async () => {
    const { body } = await post('/v1/domains/run/monitor', { execute: 'no-such-command' }).expect(500);
    expect(body).toMatchObject({ code: 'monitor-failed', detail: expect.stringMatching(/no-such-command has not been found/) });
  });

  it.each([['a b'], ['x'.repeat(65)], ['']])('%j names no command', async (execute) => {
    const { body } = await post('/v1/domains/run/monitor', { execute }).expect(422);
    expect(body.code).toBe('invalid-argument');
  });
});

it('what reaches around a definition takes the permission admin', async () => {
  const { paths } = (await request(agent.url).get('/openapi.json')).body;
  for (const path of ['/v1/domains/attach', '/v1/domains/{domain}/monitor'])
    expect(paths[path].post.security).toEqual([{ bearer: ['admin'] }]);
});

it('has answered no problem that it does not declare', () => {
  expect(agent.logged.filter((line) => line.includes('does not declare'))).toEqual([]);
});
