import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.js';

/** What a client of a guest without sound and redirected devices opens. */
export const spiceChannels = ['main', 'display', 'inputs', 'cursor'] as const;

/** One thing that the client has said of itself. */
export interface SpiceWord {
  readonly what: 'connecting' | 'channel' | 'picture' | 'migration-started' | 'migration' | 'disconnected';
  readonly channel?: (typeof spiceChannels)[number];
  readonly event?: string;
  /** `none` at its end. */
  readonly state?: string;
  readonly host?: string;
  readonly port?: string | null;
  readonly 'tls-port'?: string | null;
  readonly 'cert-subject'?: string | null;
}

export interface SpiceServerAddress {
  readonly host: string;
  readonly port?: number | null;
  readonly tlsPort?: number | null;
  readonly caFile?: string;
  readonly certSubject?: string;
  readonly password?: string;
}

const connectedMs = 10_000;

/** A real client of SPICE (spice-gtk's library) in a process of its own, and what it says. */
export class SpiceClient {
  readonly said: SpiceWord[] = [];
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static open({ host, port, tlsPort, caFile, certSubject, password = '' }: SpiceServerAddress): SpiceClient {
    const script = fileURLToPath(new URL('../../src/world/spice-client.py', import.meta.url));
    const words = [host, port, tlsPort, caFile, certSubject].map((word) => String(word ?? '-'));
    // Debian's own interpreter: its gi is no other one's.
    const child = spawn('/usr/bin/python3', [script, ...words], { stdio: ['pipe', 'pipe', 'inherit'] });
    const client = new SpiceClient(child);
    createInterface({ input: child.stdout }).on('line', (line) => client.said.push(JSON.parse(line) as SpiceWord));
    child.stdin.write(`${password}\n`);
    return client;
  }

  /** Resolves when its channels are open and it has been shown a picture. */
  async connected(): Promise<void> {
    await eventually(() => {
      const open = this.said.filter(({ event }) => event === 'opened').map(({ channel }) => channel);
      if (!spiceChannels.every((channel) => open.includes(channel)) || !this.#has('picture'))
        throw new Error(`the client is not connected: ${JSON.stringify(this.said)}`);
    }, connectedMs);
  }

  /** Resolves when it has gone on to another server, with what it says of that. */
  moved(): Promise<SpiceWord> {
    return eventually(() => {
      const end = this.said.find(({ what, state }) => what === 'migration' && state === 'none');
      if (end === undefined) throw new Error(`the client has not gone on: ${JSON.stringify(this.said)}`);
      return end;
    });
  }

  /** Resolves when it was not let in: for its password, or for the certificate that it was shown. */
  async refused(): Promise<void> {
    await eventually(() => {
      const why = this.said.some(({ event }) => event === 'error-auth' || event === 'error-tls');
      if (!why) throw new Error(`the client was not refused: ${JSON.stringify(this.said)}`);
    }, connectedMs);
    if (this.#has('picture')) throw new Error('the client was shown a picture');
  }

  /** Resolves when it has been sent on to a server that it cannot reach. */
  async lost(): Promise<void> {
    await eventually(() => {
      if (!this.said.some(({ event }) => event === 'error-connect'))
        throw new Error(`the client is not lost: ${JSON.stringify(this.said)}`);
    });
  }

  #has(what: SpiceWord['what']): boolean {
    return this.said.some((word) => word.what === what);
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await exited;
  }
}
