import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder of this test, gone when it is over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vf-qmp-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A real QEMU without devices that listens on `path`; it has ended when the test is over. */
export function startQemu(path: string, ...more: readonly string[]): ChildProcess {
  const monitor = ['-chardev', `socket,id=m,path=${path},server=on,wait=off`, '-mon', 'chardev=m,mode=control'];
  const argv = ['-machine', 'q35', '-accel', 'tcg', '-m', '4', '-nodefaults', '-no-user-config', '-display', 'none', '-S'];
  const qemu = spawn('qemu-system-x86_64', [...argv, ...monitor, ...more], { stdio: 'ignore' });
  const exited = once(qemu, 'exit');
  onTestFinished(async () => {
    qemu.kill('SIGKILL');
    await exited;
  });
  return qemu;
}

const greetingLine =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}\r\n';

/** A monitor that greets each of its first `deaf` clients and hears none of them, as a real QEMU does too seldom to wait for. */
export async function startDeafMonitor(path: string, deaf: number): Promise<{ readonly called: () => number }> {
  let called = 0;
  const server = createServer((socket) => {
    called += 1;
    const hears = called > deaf;
    socket.on('error', () => undefined);
    socket.write(greetingLine);
    socket.on('data', (chunk: Buffer) => {
      const { id } = JSON.parse(chunk.toString()) as { id: number };
      if (hears) socket.write(`{"return": {}, "id": ${id}}\r\n`);
    });
  });
  server.listen(path);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { called: () => called };
}

/**
 * A monitor that an escaped guest has taken over: it greets, agrees to the negotiation and then does what `act` says with each
 * further command. Real QEMU cannot be made to send such things.
 */
export async function startHostileMonitor(path: string, act: (socket: Socket, id: number) => void): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write(greetingLine);
    socket.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().trim().split('\n')) {
        const { execute, id } = JSON.parse(line) as { execute: string; id: number };
        if (execute === 'qmp_capabilities') socket.write(`{"return": {}, "id": ${id}}\r\n`);
        else act(socket, id);
      }
    });
  });
  server.listen(path);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return server;
}
