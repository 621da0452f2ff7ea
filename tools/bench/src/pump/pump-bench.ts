import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { figuresOf, PumpedStream, type PumpFigures, pumpHelper } from './pumped-stream.js';

export const directions = ['unix to tcp', 'tcp to unix'] as const;
export type DirectionName = (typeof directions)[number];

/** One way of pumping: which socket the bytes come from, and how large the pipes are. */
export interface PumpCase {
  readonly direction: DirectionName;
  readonly pipeBytes: number;
}

/** One stream through the pump. */
export interface PumpSample extends PumpFigures {
  readonly bytes: number;
  readonly seconds: number;
}

const pipeBytesWanted = [64, 128, 256, 512, 1_024].map((kib) => kib * 1_024);

/** The sizes that the kernel gives to a user who is not root, each in both directions. */
export function pumpCases(): PumpCase[] {
  const max = Number(readFileSync('/proc/sys/fs/pipe-max-size', 'utf8'));
  return pipeBytesWanted
    .filter((bytes) => bytes <= max)
    .flatMap((pipeBytes) => directions.map((direction) => ({ direction, pipeBytes })));
}

/** Three processes: the pump, and a sender and a receiver that stand for two QEMUs. */
export class PumpBench {
  readonly #pump = pumpHelper();
  readonly #stream = new PumpedStream();
  readonly #folder: string;
  #streams = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async measure({ direction, pipeBytes }: PumpCase, bytes: number): Promise<PumpSample> {
    const localPath = join(this.#folder, `s${this.#streams++}`);
    const listening = this.#pump.answer('listening');
    const bulk = direction === 'unix to tcp' ? 'to-remote' : 'to-local';
    this.#pump.order({ pipeBytes, bulk, localPath, remotePort: null, tls: null });
    const { local, remote } = await listening;
    const [from, to] = direction === 'unix to tcp' ? [local, remote] : [remote, local];
    await this.#stream.connect(from, to);
    const ended = figuresOf(this.#pump);
    const seconds = await this.#stream.send(bytes, ended);
    return { bytes, seconds, ...(await ended) };
  }

  async close(): Promise<void> {
    await this.#pump.end();
    await this.#stream.close();
  }
}
