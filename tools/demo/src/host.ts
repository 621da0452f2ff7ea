import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { VmferryError } from '@vmferry/errors';
import { orAborted } from './or-aborted.js';
import { command, print } from './say.js';
import type { Vmferry } from './vmferry.js';

/** An app drains for at most 30 s. */
const stopMsMax = 40_000;
const upMsMax = 60_000;

/** One host on loopback: a `vmferry host up` with its three apps. */
export class DemoHost {
  readonly name: string;
  readonly sourceUrl: string;
  readonly destinationUrl: string;
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;

  constructor(options: { readonly name: string; readonly folder: string; readonly portBase: number }) {
    const { name, folder, portBase } = options;
    this.name = name;
    this.sourceUrl = `http://127.0.0.1:${portBase + 1}`;
    this.destinationUrl = `http://127.0.0.1:${portBase + 2}`;
    const places = ['--state-dir', `${folder}/${name}`, '--runtime-dir', `${folder}/${name}.run`];
    this.#args = ['host', 'up', ...places, '--name', name, '--port-base', String(portBase)];
  }

  /** Resolves when its three apps are ready, and shows what they say until then. */
  async up(vmferry: Vmferry, signal: AbortSignal): Promise<void> {
    const child = vmferry.spawn(this.#args);
    this.#child = child;
    const { stdout } = child;
    if (stdout === null) throw new VmferryError('internal', 'host up has no standard output.');
    const lines = createInterface({ input: stdout });
    const patience = AbortSignal.any([signal, AbortSignal.timeout(upMsMax)]);
    const up = new Promise<void>((resolve, reject) => {
      lines.on('line', (line) => {
        print(line);
        if (line.startsWith('host is up')) resolve();
      });
      child.once('exit', (code) =>
        reject(new VmferryError('internal', `${this.name} ended with exit code ${code} before it was up.`)),
      );
    });
    await orAborted(up, patience);
  }

  /** Ends the host and waits for its apps; returns what went wrong. */
  async down(): Promise<string | null> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return null;
    command(`kill ${child.pid}    # ${this.name}`);
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), stopMsMax);
    const [exitCode, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    clearTimeout(timer);
    return exitCode === 0 ? null : `${this.name} did not end well: ${signal ?? `exit code ${exitCode}`}`;
  }
}
