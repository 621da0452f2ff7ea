import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EndsAnswer, EndsOrder } from '../ends/ends.js';
import { Helper } from '../ends/helper.js';
import { cpuSecondsOfAll } from '../process-time.js';
import type { PumpAnswer, PumpOrder } from './pump-process.js';

const directions = ['unix to tcp', 'tcp to unix'] as const;
type DirectionName = (typeof directions)[number];

/** One way of pumping: which socket the bytes come from, and how large the pipes are. */
export interface PumpCase {
  readonly direction: DirectionName;
  readonly pipeBytes: number;
}

/** One stream through the pump. */
export interface PumpSample {
  readonly bytes: number;
  readonly seconds: number;
  /** Of the process of the pump alone. */
  readonly cpuSeconds: number;
  readonly spliceCalls: number;
  /** Sleeps with bytes in the pipe because the receiver took none. */
  readonly stalls: number;
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
  readonly #pump = new Helper<PumpOrder, PumpAnswer>(new URL('./pump-process.js', import.meta.url));
  readonly #sender = new Helper<EndsOrder, EndsAnswer>(new URL('../ends/ends.js', import.meta.url));
  readonly #receiver = new Helper<EndsOrder, EndsAnswer>(new URL('../ends/ends.js', import.meta.url));
  readonly #folder: string;
  #streams = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async measure({ direction, pipeBytes }: PumpCase, bytes: number): Promise<PumpSample> {
    const localPath = join(this.#folder, `s${this.#streams++}`);
    const listening = this.#pump.answer('listening');
    this.#pump.order({ pipeBytes, bulk: direction === 'unix to tcp' ? 'to-remote' : 'to-local', localPath });
    const { local, remote } = await listening;
    const [from, to] = direction === 'unix to tcp' ? [local, remote] : [remote, local];
    const connected = Promise.all([this.#sender.answer('connected'), this.#receiver.answer('connected')]);
    this.#sender.order({ t: 'connect', addresses: [from], role: 'send' });
    this.#receiver.order({ t: 'connect', addresses: [to], role: 'receive' });
    await connected;
    const ended = Promise.all([this.#pump.answer('ended'), this.#receiver.answer('done'), this.#sender.answer('done')]);
    const cpuBefore = cpuSecondsOfAll([this.#pump.pid]);
    const startedAt = performance.now();
    this.#sender.order({ t: 'send', bytesEach: bytes });
    const [{ how, spliceCalls, stalls }, received] = await ended;
    const seconds = (performance.now() - startedAt) / 1_000;
    if (how !== 'clean' || received.bytes !== bytes)
      throw new Error(`The pump ended ${how}, and ${received.bytes} of ${bytes} bytes came.`);
    return { bytes, seconds, cpuSeconds: cpuSecondsOfAll([this.#pump.pid]) - cpuBefore, spliceCalls, stalls };
  }

  async close(): Promise<void> {
    for (const helper of [this.#pump, this.#sender, this.#receiver]) await helper.end();
  }
}
