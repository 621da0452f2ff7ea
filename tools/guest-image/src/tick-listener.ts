import { once } from 'node:events';
import { chmod } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { VmferryError } from '@vmferry/errors';
import { parseTickLine, type Tick } from './ticks.js';

/** A line of a guest is under 64 bytes; the kernel's own messages are longer. */
const lineBytesMax = 4096;

export interface ArrivedTick extends Tick {
  /** When it came in, on this process's monotonic clock (`performance.now()`). */
  readonly atMs: number;
  /** The QEMU it came from, counted in the order of their connections from 0. */
  readonly connection: number;
}

export interface TickListener {
  /** In the order of arrival, of all QEMUs together. */
  readonly ticks: readonly ArrivedTick[];
  /** How many QEMUs have connected since the start. */
  readonly connections: number;
  /**
   * The first tick, among those that came already and those to come, that the predicate accepts.
   * @throws VmferryError 'request-timeout' when none came within the deadline.
   */
  waitForTick(accept: (tick: ArrivedTick) => boolean, deadlineMs: number): Promise<ArrivedTick>;
  /** Sends text to the serial port of the QEMU that has ticked last. */
  send(text: string): void;
  close(): Promise<void>;
}

/**
 * Listens on a unix socket for the serial ports of a guest: source and destination QEMU both connect to it when they start
 * (`serial: { type: 'unix-connect', path }`), so that every tick is seen on one clock. Any local user may connect: QEMU runs unprivileged.
 */
export async function listenForTicks(path: string): Promise<TickListener> {
  const ticks: ArrivedTick[] = [];
  const waiting = new Set<() => void>();
  const sockets = new Map<number, Socket>();
  const lines = new LineJoiner();
  let connections = 0;
  const server = createServer((socket) => {
    const connection = connections++;
    sockets.set(connection, socket);
    socket.once('close', () => sockets.delete(connection));
    socket.on('error', () => socket.destroy());
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      for (const line of lines.add(text)) {
        const tick = parseTickLine(line);
        if (tick !== undefined) ticks.push({ ...tick, atMs: performance.now(), connection });
      }
      for (const look of waiting) look();
    });
  });
  server.listen(path);
  await once(server, 'listening');
  await chmod(path, 0o666);
  return {
    ticks,
    get connections() {
      return connections;
    },
    waitForTick: (accept, deadlineMs) => waitForTick(ticks, waiting, accept, deadlineMs),
    send(text) {
      sockets.get(ticks.at(-1)?.connection ?? 0)?.write(text);
    },
    async close() {
      for (const socket of sockets.values()) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The largest time between two ticks that arrived one after the other; 0 with fewer than two. Downtime as seen from outside. */
export function largestGapMs(ticks: readonly ArrivedTick[]): number {
  return ticks.reduce((largest, tick, index) => Math.max(largest, tick.atMs - (ticks[index - 1]?.atMs ?? tick.atMs)), 0);
}

/**
 * One for all connections: a guest may be stopped in the middle of a line, and its destination prints the rest of it.
 */
class LineJoiner {
  #rest = '';

  add(text: string): string[] {
    const lines = (this.#rest + text).split('\n');
    this.#rest = (lines.pop() ?? '').slice(-lineBytesMax);
    return lines.map((line) => line.replace(/\r$/, ''));
  }
}

function waitForTick(
  ticks: readonly ArrivedTick[],
  waiting: Set<() => void>,
  accept: (tick: ArrivedTick) => boolean,
  deadlineMs: number,
): Promise<ArrivedTick> {
  return new Promise((resolve, reject) => {
    let next = 0;
    const look = (): void => {
      while (next < ticks.length) {
        const tick = ticks[next++];
        if (tick === undefined || !accept(tick)) continue;
        settle();
        resolve(tick);
        return;
      }
    };
    const timer = setTimeout(() => {
      settle();
      const last = ticks.at(-1);
      const seen = last === undefined ? 'no tick at all' : `${ticks.length} ticks, the last ${JSON.stringify(last)}`;
      reject(new VmferryError('request-timeout', `The awaited tick did not come within ${deadlineMs} ms: ${seen}.`));
    }, deadlineMs);
    const settle = (): void => {
      clearTimeout(timer);
      waiting.delete(look);
    };
    waiting.add(look);
    look();
  });
}
