import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { noFaults } from '@vmferry/seams';
import { createLogger } from '@vmferry/service';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AgentOptions, agentCommand, openHost } from './index.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'va-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const log = createLogger({ app: 'spec', level: 'error', hostName: 'spec' });

function optionsOf(): AgentOptions {
  const args = ['--state-dir', join(folder, 'state'), '--runtime-dir', join(folder, 'run'), '--security-driver', 'none'];
  return agentCommand('spec-agent', 'for a spec').parse(args, { from: 'user' }).opts();
}

it('gives both agents of a host one identity, and each its own lock', async () => {
  const source = await openHost('source-agent', optionsOf(), noFaults, log);
  const destination = await openHost('destination-agent', optionsOf(), noFaults, log);
  expect(destination.state.identity).toEqual(source.state.identity);
  expect([source.guestHost.owner, destination.guestHost.owner]).toEqual(['source', 'destination']);
  await expect(openHost('source-agent', optionsOf(), noFaults, log)).rejects.toMatchObject({ code: 'agent-running' });
  await source.close();
  const successor = await openHost('source-agent', optionsOf(), noFaults, log);
  await successor.close();
  await destination.close();
});

it('refuses a runtime folder in which the sockets of a guest would not fit, and takes the longest that there may be', async () => {
  const runtimeDir = (bytes: number) => join(folder, 'r'.repeat(bytes - Buffer.byteLength(folder) - 1));
  const tooLong = openHost('source-agent', { ...optionsOf(), runtimeDir: runtimeDir(61) }, noFaults, log);
  await expect(tooLong).rejects.toMatchObject({ code: 'invalid-argument' });
  const host = await openHost('source-agent', { ...optionsOf(), runtimeDir: runtimeDir(60) }, noFaults, log);
  await host.close();
});

it('removes what a probe of its earlier life has left, and of nobody else, and leaves nothing of its own', async () => {
  const names = ['source-agent.probe-abcdef', 'destination-agent.probe-abcdef', 'guest'];
  for (const name of names) await mkdir(join(folder, 'run', name, 'm'), { recursive: true });
  const host = await openHost('source-agent', optionsOf(), noFaults, log);
  await host.guestHost.capabilities({ type: 'qemu' });
  expect((await readdir(join(folder, 'run'))).sort()).toEqual(names.slice(1).sort());
  await host.close();
});

it('asks an emulator once, and again when it has failed', async () => {
  const host = await openHost('source-agent', optionsOf(), noFaults, log);
  const [first, second] = await Promise.all([
    host.guestHost.capabilities({ type: 'qemu' }),
    host.guestHost.capabilities({ type: 'qemu' }),
  ]);
  expect(second).toBe(first);
  expect(first.kvmUsable).toBe(false);
  const missing = { type: 'qemu', emulator: '/nonexistent/qemu' } as const;
  await expect(host.guestHost.capabilities(missing)).rejects.toMatchObject({ code: 'hypervisor-unsupported' });
  await expect(host.guestHost.capabilities(missing)).rejects.toMatchObject({ code: 'hypervisor-unsupported' });
  await host.close();
});

it('says at its start what is in the way of an audit sink, and goes on', async () => {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const told = createLogger({ app: 'spec', level: 'warn', hostName: 'spec', stream });
  const host = await openHost('source-agent', { ...optionsOf(), auditSink: ['syslog'] }, noFaults, told);
  await host.close();
  // A machine has a syslog or has not.
  expect(lines.filter((line) => line.includes('"sink":"syslog"'))).toHaveLength(existsSync('/dev/log') ? 0 : 1);
});
