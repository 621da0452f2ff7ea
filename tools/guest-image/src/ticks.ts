/**
 * What our guests print on their serial port. Both count lines, so consecutive ticks differ by exactly one.
 * - boot sector: `T<8 hex digits> P<4 hex digits> OK|BAD`
 * - Linux: `tick N uptime S.mmm`, with ` memory OK|BAD` at the end when it was started with `vmferry.fill`
 */
export interface Tick {
  /** From 1. */
  readonly counter: number;
  /** What the guest's own check of its memory says; `unchecked` when it was not asked to check. */
  readonly memory: 'ok' | 'bad' | 'unchecked';
  /** Only of the boot sector: how often it has rewritten its memory. */
  readonly pass?: number;
  /** Only of Linux: the guest's own monotonic clock. */
  readonly uptimeMs?: number;
}

const bootSectorLine = /^T([0-9a-f]{8}) P([0-9a-f]{4}) (OK|BAD)$/;
const linuxLine = /^tick (\d{1,15}) uptime (\d{1,9})\.(\d{3})(?: memory (OK|BAD))?$/;

/** The tick in one line without its line end, or undefined for anything else (a message of the kernel). */
export function parseTickLine(line: string): Tick | undefined {
  const [, counter, pass, verdict] = bootSectorLine.exec(line) ?? [];
  if (counter !== undefined && pass !== undefined) {
    return { counter: Number.parseInt(counter, 16), memory: verdict === 'OK' ? 'ok' : 'bad', pass: Number.parseInt(pass, 16) };
  }
  const [, tick, seconds, milliseconds, memory] = linuxLine.exec(line) ?? [];
  if (tick === undefined) return undefined;
  return {
    counter: Number(tick),
    memory: memory === undefined ? 'unchecked' : memory === 'OK' ? 'ok' : 'bad',
    uptimeMs: Number(seconds) * 1000 + Number(milliseconds),
  };
}

/**
 * Every tick in the text of a serial port. A last line that is not complete yet is left out. After a migration, the text is the
 * source's followed by the destination's: a guest may be stopped in the middle of a line.
 */
export function parseTicks(text: string): Tick[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => parseTickLine(line.replace(/\r$/, '')))
    .filter((tick) => tick !== undefined);
}

/**
 * The first place where the guest's life is not one unbroken line: a counter that does not follow the one before it (time lost, went
 * back, or two copies ran) or a memory check that failed. Undefined when all is well; ticks of one guest only.
 */
export function findBreak(ticks: readonly Tick[]): string | undefined {
  let before: Tick | undefined;
  for (const tick of ticks) {
    if (tick.memory === 'bad') return `the guest found its memory changed at tick ${tick.counter}`;
    if (before !== undefined && tick.counter !== before.counter + 1) return `tick ${tick.counter} follows tick ${before.counter}`;
    before = tick;
  }
  return undefined;
}
