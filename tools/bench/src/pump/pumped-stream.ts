import type { Address, EndsAnswer, EndsOrder } from '../ends/ends.js';
import { Helper } from '../ends/helper.js';
import { cpuSecondsOfAll } from '../process-time.js';
import type { PumpAnswer, PumpOrder } from './pump-process.js';

type PumpHelper = Helper<PumpOrder, PumpAnswer>;

/** What one pump took for one stream. */
export interface PumpFigures {
  /** Of the process of the pump alone. */
  readonly cpuSeconds: number;
  readonly spliceCalls: number;
  /** Sleeps with bytes in the pipe because the receiver took none. */
  readonly stalls: number;
}

export function pumpHelper(): PumpHelper {
  return new Helper(new URL('./pump-process.js', import.meta.url));
}

/** From now until the pump has ended its stream. Throws when that was no clean end. */
export async function figuresOf(pump: PumpHelper): Promise<PumpFigures> {
  const cpuBefore = cpuSecondsOfAll([pump.pid]);
  const { how, spliceCalls, stalls } = await pump.answer('ended');
  if (how !== 'clean') throw new Error(`The pump ended ${how}.`);
  return { cpuSeconds: cpuSecondsOfAll([pump.pid]) - cpuBefore, spliceCalls, stalls };
}

/** A sender and a receiver that stand for two QEMUs, each a process; what is between them is for the caller to begin and to end. */
export class PumpedStream {
  readonly #sender = new Helper<EndsOrder, EndsAnswer>(new URL('../ends/ends.js', import.meta.url));
  readonly #receiver = new Helper<EndsOrder, EndsAnswer>(new URL('../ends/ends.js', import.meta.url));

  async connect(from: Address, to: Address): Promise<void> {
    const connected = Promise.all([this.#sender.answer('connected'), this.#receiver.answer('connected')]);
    this.#sender.order({ t: 'connect', addresses: [from], role: 'send' });
    this.#receiver.order({ t: 'connect', addresses: [to], role: 'receive' });
    await connected;
  }

  /** The seconds until the last byte has come and the pumps between have ended. */
  async send(bytes: number, pumpsEnded: Promise<unknown>): Promise<number> {
    const ended = Promise.all([this.#receiver.answer('done'), this.#sender.answer('done'), pumpsEnded]);
    const startedAt = performance.now();
    this.#sender.order({ t: 'send', bytesEach: bytes });
    const [received] = await ended;
    if (received.bytes !== bytes) throw new Error(`${received.bytes} of ${bytes} bytes came through the pumps.`);
    return (performance.now() - startedAt) / 1_000;
  }

  async close(): Promise<void> {
    for (const helper of [this.#sender, this.#receiver]) await helper.end();
  }
}
