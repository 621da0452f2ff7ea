import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TlsFiles } from '@vmferry/tls';

const entry = fileURLToPath(new URL('../../../cli/dist/main.js', import.meta.url));

export interface HostUp {
  readonly source: string;
  readonly destination: string;
  readonly relay: string;
  /** As Ctrl-C does; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export interface HostUpOptions {
  /** Its state and its sockets go below it. */
  readonly folder: string;
  readonly name: string;
  readonly portBase: number;
  readonly tls: TlsFiles;
}

/** `vmferry host up` as a person types it, with certificates; resolves when it says that the host is up. */
export async function hostUp({ folder, name, portBase, tls }: HostUpOptions): Promise<HostUp> {
  const place = ['--state-dir', `${folder}/${name}`, '--runtime-dir', `${folder}/${name}.run`, '--port-base', String(portBase)];
  const certificates = ['--tls-cert', tls.cert, '--tls-key', tls.key, '--tls-ca', tls.ca];
  const child = spawn(process.execPath, [entry, 'host', 'up', '--name', name, ...place, ...certificates], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  await saysThatItIsUp(child, name);
  const at = (scheme: string, port: number) => `${scheme}://127.0.0.1:${portBase + port}`;
  return {
    source: at('http', 1),
    destination: at('http', 2),
    relay: at('https', 3),
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const [code] = (await exited) as [number | null];
      process.off('exit', end);
      return code;
    },
  };
}

async function saysThatItIsUp(child: ChildProcess, name: string): Promise<void> {
  if (child.stdout === null) throw new Error(`${name} has no output`);
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (line.startsWith('host is up')) {
      child.stdout.resume();
      return;
    }
  }
  throw new Error(`${name} did not come up: ${said.join('\n')}`);
}
