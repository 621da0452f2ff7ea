import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QmpClient } from '@vmferry/qmp';
import { systemClock } from '@vmferry/seams';
import { onTestFinished } from 'vitest';

const greeting =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}\r\n';

export interface ScriptedMonitor {
  readonly qmp: QmpClient;
  /** Where others connect to it. */
  readonly path: string;
  /** What a command is answered from now on; `{}` for those that are not named, and a refusal for an Error. */
  readonly answers: Record<string, unknown>;
  /** What QEMU would tell by itself. */
  event(name: string, data: unknown): void;
  /** The end of QEMU. */
  end(): void;
}

/**
 * A monitor over a real socket that answers by a script: it stands for a QEMU whose migration ends at a moment of the spec's choosing,
 * which a real one does not.
 */
export async function scriptedMonitor(
  onCommand: (name: string, args: unknown) => void = () => undefined,
): Promise<ScriptedMonitor> {
  const folder = mkdtempSync(join(tmpdir(), 'vf-qmp-'));
  const path = join(folder, 'm');
  const answers: Record<string, unknown> = { 'query-migrate-capabilities': [] };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.write(greeting);
    socket.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().trim().split('\n')) {
        const { execute, arguments: args = {}, id } = JSON.parse(line) as { execute: string; arguments?: unknown; id: number };
        if (execute !== 'qmp_capabilities') onCommand(execute, args);
        socket.write(`${JSON.stringify({ ...answerOf(answers[execute]), id })}\r\n`);
      }
    });
  });
  server.listen(path);
  await once(server, 'listening');
  const qmp = await QmpClient.connect({ path, clock: systemClock, deadlineMs: 5_000 });
  onTestFinished(() => {
    qmp.close();
    server.close();
    rmSync(folder, { recursive: true });
  });
  return {
    qmp,
    path,
    answers,
    event(name, data) {
      for (const socket of sockets)
        socket.write(`${JSON.stringify({ event: name, data, timestamp: { seconds: 1, microseconds: 0 } })}\r\n`);
    },
    end() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function answerOf(scripted: unknown) {
  return scripted instanceof Error ? { error: { class: 'GenericError', desc: scripted.message } } : { return: scripted ?? {} };
}
