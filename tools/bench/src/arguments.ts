import { parseArgs } from 'node:util';

const guestNames = ['boot-sector', 'idle', 'filled', 'dirtying'] as const;
export type GuestName = (typeof guestNames)[number];

/** `cycle`: whole migrations beside QMP alone, or their downtimes. The others are of the tunnel. */
const benches = ['tunnel', 'pump', 'streams'] as const;
type Bench = 'cycle' | (typeof benches)[number];

export interface BenchArguments {
  readonly bench: Bench;
  /** Measured rounds of each way, after one that warms up; at least 1. */
  readonly rounds: number;
  /** Migrations of each way of which only the largest gap between two ticks counts; null when everything is measured. */
  readonly downtimes: number | null;
  readonly guests: readonly GuestName[];
  /** MiB that the guests `filled` and `dirtying` fill with incompressible content. */
  readonly fillMib: number;
  /** MiB that the guest `dirtying` rewrites each second. */
  readonly dirtyMib: number;
  /** Where every single figure goes, as JSON; null for the table alone. */
  readonly json: string | null;
}

export const usage = `usage: npm run bench -- [--rounds N | --downtime N] [--guest NAME]... [--fill MIB] [--dirty MIB] [--json FILE]
  --rounds N    measured rounds of each way, interleaved (default 5)
  --downtime N  N migrations of each way, and how the largest gaps are distributed (guests: idle and dirtying)
  --guest NAME  ${guestNames.join(', ')}; may be repeated (default: idle and boot-sector)
  --fill MIB    what 'filled' and 'dirtying' fill (default 200)
  --dirty MIB   what 'dirtying' rewrites each second (default 20)
  --json FILE   writes every figure there
  --help        prints this
       npm run bench -- --tunnel | --pump | --streams [--rounds N] [--json FILE]
  --tunnel      a 1 GiB guest by QEMU alone, direct and tunnelled: throughput, CPU and memory of the relays, downtime
  --pump        the relay's pump alone on loopback sockets, by size of its pipes; then two of them, plain and with TLS between
  --streams     1 to 64 streams at once through one pair of relays`;

/** Null when only the usage is asked for. Throws an Error whose message is for the user. */
export function readArguments(argv: readonly string[]): BenchArguments | null {
  const { values } = parseArgs({
    args: [...argv],
    strict: true,
    options: {
      rounds: { type: 'string', default: '5' },
      downtime: { type: 'string' },
      guest: { type: 'string', multiple: true },
      fill: { type: 'string', default: '200' },
      dirty: { type: 'string', default: '20' },
      json: { type: 'string' },
      tunnel: { type: 'boolean', default: false },
      pump: { type: 'boolean', default: false },
      streams: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const wanted = benches.filter((name) => values[name]);
  const others = (['downtime', 'guest', 'fill', 'dirty'] as const).filter((name) =>
    argv.some((word) => word.startsWith(`--${name}`)),
  );
  if (wanted.length + (wanted.length > 0 ? others.length : 0) > 1)
    throw new Error(`--${[...wanted, ...others].join(', --')} do not go together.`);
  return {
    bench: wanted[0] ?? 'cycle',
    rounds: whole('--rounds', values.rounds, 1, 1_000),
    downtimes: values.downtime === undefined ? null : whole('--downtime', values.downtime, 1, 1_000),
    guests: [...new Set((values.guest ?? ['idle', values.downtime === undefined ? 'boot-sector' : 'dirtying']).map(guestOf))],
    fillMib: whole('--fill', values.fill, 1, 16_384),
    dirtyMib: whole('--dirty', values.dirty, 1, 4_096),
    json: values.json ?? null,
  };
}

function whole(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max)
    throw new Error(`${option} is a whole number from ${min} to ${max}, not '${text}'.`);
  return value;
}

function guestOf(text: string): GuestName {
  const found = guestNames.find((name) => name === text);
  if (found === undefined) throw new Error(`--guest is one of ${guestNames.join(', ')}, not '${text}'.`);
  return found;
}
