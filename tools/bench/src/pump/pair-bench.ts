import { join } from 'node:path';
import { pipeBytesWanted } from '@vmferry/tunnel-relay/pump';
import { tlsSessions } from '@vmferry/tunnel-relay/pump/testing';
import { type DirectionName, directions } from './pump-bench.js';
import type { PumpOrder } from './pump-process.js';
import { figuresOf, PumpedStream, type PumpFigures, pumpHelper } from './pumped-stream.js';

/** One way through two pumps, each on a unix socket and on the same TCP connection. */
export interface PairCase {
  /** What the pump does that has begun the connection, and with it the TLS; the other one does the opposite. */
  readonly direction: DirectionName;
  readonly between: 'plain' | 'TLS';
}

/** One stream through both pumps. */
export interface PairSample {
  readonly bytes: number;
  readonly seconds: number;
  /** The pump from unix to TCP. */
  readonly sending: PumpFigures;
  /** The pump from TCP to unix. */
  readonly receiving: PumpFigures;
}

/** Plain and TLS in turn, so that a busy moment of the machine meets both. */
export function pairCases(): PairCase[] {
  return directions.flatMap((direction) => (['plain', 'TLS'] as const).map((between) => ({ direction, between })));
}

/** Four processes: a pump for each relay, so that neither end's cryptography waits for the other's, and two that stand for QEMUs. */
export class PairBench {
  readonly #sessions = tlsSessions('vmferry-bench');
  readonly #near = pumpHelper();
  readonly #far = pumpHelper();
  readonly #stream = new PumpedStream();
  readonly #folder: string;
  #streams = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async measure({ direction, between }: PairCase, bytes: number): Promise<PairSample> {
    const isSentNear = direction === 'unix to tcp';
    const { client, server } = between === 'TLS' ? this.#sessions : { client: null, server: null };
    const far = await this.#listening(this.#far, { bulk: isSentNear ? 'to-local' : 'to-remote', remotePort: null, tls: server });
    const { port: remotePort } = far.remote;
    const near = await this.#listening(this.#near, { bulk: isSentNear ? 'to-remote' : 'to-local', remotePort, tls: client });
    const [[from, sender], [to, receiver]] = isSentNear
      ? ([
          [near.local, this.#near],
          [far.local, this.#far],
        ] as const)
      : ([
          [far.local, this.#far],
          [near.local, this.#near],
        ] as const);
    await this.#stream.connect(from, to);
    const ended = Promise.all([figuresOf(sender), figuresOf(receiver)]);
    const seconds = await this.#stream.send(bytes, ended);
    const [sending, receiving] = await ended;
    return { bytes, seconds, sending, receiving };
  }

  async close(): Promise<void> {
    for (const pump of [this.#near, this.#far]) await pump.end();
    await this.#stream.close();
  }

  #listening(pump: ReturnType<typeof pumpHelper>, order: Pick<PumpOrder, 'bulk' | 'remotePort' | 'tls'>) {
    const listening = pump.answer('listening');
    pump.order({ ...order, pipeBytes: pipeBytesWanted, localPath: join(this.#folder, `p${this.#streams++}`) });
    return listening;
  }
}
