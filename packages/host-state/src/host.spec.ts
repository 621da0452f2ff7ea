import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemRandom } from '@vmferry/seams';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeAgentLock } from './agent-lock.js';
import { type HostState, openHostState } from './host.js';

let stateDir: string;
let reports: string[];
beforeEach(() => {
  stateDir = join(mkdtempSync(join(tmpdir(), 'host-')), 'state');
  reports = [];
});
afterEach(() => rmSync(join(stateDir, '..'), { recursive: true, force: true }));

function open(hostName = 'alpha'): Promise<HostState> {
  return openHostState({ stateDir, defaults: { hostName, random: systemRandom }, report: ({ path }) => reports.push(path) });
}

const dist = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);

function run(program: string, ...given: string[]): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', program, stateDir, ...given], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

async function lineOf(child: ChildProcess): Promise<string> {
  const [chunk] = (await once(child.stdout ?? child, 'data')) as [Buffer];
  return chunk.toString().trim();
}

describe('the host', () => {
  it("is made once, keeps its identity, and is nobody else's business", async () => {
    const { identity } = await open('alpha');
    expect(identity).toEqual({
      hostName: 'alpha',
      hostUuid: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      storeId: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
    });
    expect((await open('beta')).identity).toEqual(identity);
    expect(statSync(stateDir).mode & 0o777).toBe(0o700);
  });

  it('gets one identity from apps that open it together for the first time', async () => {
    const program = `
      import { openHostState } from ${dist};
      import { systemRandom } from ${JSON.stringify(import.meta.resolve('@vmferry/seams'))};
      const { identity } = await openHostState({ stateDir: process.argv[1], defaults: { hostName: process.argv[2], random: systemRandom }, report: () => undefined });
      process.stdout.write(JSON.stringify(identity));`;
    const apps = ['one', 'two', 'three'].map((name) => run(program, name));
    const ends = apps.map((app) => once(app, 'close'));
    const identities = await Promise.all(apps.map(lineOf));
    await Promise.all(ends);
    expect(new Set(identities).size).toBe(1);
    expect(readdirSync(stateDir)).toEqual(['host.json']);
  });

  it.each(['', 'a b', 'ä', 'a\n', 'x'.repeat(256)])('refuses the host name %j', async (hostName) => {
    await expect(open(hostName)).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(existsSync(join(stateDir, 'host.json'))).toBe(false);
  });

  it('I12: does not become another host when its identity cannot be read', async () => {
    await open();
    const path = join(stateDir, 'host.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"storeId":"../, '"storeId":"zz'));
    await expect(open()).rejects.toMatchObject({ code: 'state-unreadable' });
    await expect(open()).rejects.toMatchObject({ code: 'state-unreadable' });
    expect(reports).toEqual([path]);
    expect(readdirSync(stateDir)).toEqual(['host.json.unreadable-1']);
  });
});

describe('the lock of an agent', () => {
  const holder = `
    import { takeAgentLock } from ${dist};
    takeAgentLock(process.argv[1], 'source-agent');
    process.stdout.write('held');
    process.stdin.resume();`;

  it('is held by one process, whose pid the next one is told, and ends with it', async () => {
    const first = run(holder);
    expect(await lineOf(first)).toBe('held');
    expect(() => takeAgentLock(stateDir, 'source-agent')).toThrow(
      expect.objectContaining({
        code: 'agent-running',
        message: expect.stringContaining(`process ${first.pid} holds`) as string,
      }) as Error,
    );
    takeAgentLock(stateDir, 'destination-agent').release();
    const ended = once(first, 'close');
    first.kill('SIGKILL');
    await ended;
    const second = takeAgentLock(stateDir, 'source-agent');
    expect(second.holds()).toBe(true);
    second.release();
    expect(second.holds()).toBe(false);
  });

  it('is not held through a child of the agent', async () => {
    const lock = takeAgentLock(stateDir, 'source-agent');
    const child = spawn('sleep', ['60']);
    await once(child, 'spawn');
    lock.release();
    takeAgentLock(stateDir, 'source-agent').release();
    const ended = once(child, 'close');
    child.kill('SIGKILL');
    await ended;
  });

  it('is no longer held when its file is removed or replaced', () => {
    const lock = takeAgentLock(stateDir, 'tunnel-relay');
    renameSync(lock.path, `${lock.path}.gone`);
    expect(lock.holds()).toBe(false);
    const other = takeAgentLock(stateDir, 'tunnel-relay');
    expect([lock.holds(), other.holds()]).toEqual([false, true]);
    lock.release();
    lock.release();
    other.release();
  });
});
