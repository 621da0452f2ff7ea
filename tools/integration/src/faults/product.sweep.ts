import { afterAll, describe, it } from 'vitest';
import { modes } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import { faultKinds, isMet, pointNames, struckAt } from './fault-points.js';
import { type FaultCase, strike, titleOf } from './strike.js';

/** What `pnpm fault-sweep --only` asks for: a mode, point, kind or who is struck; a case has to match each part. */
const only = (process.env.VMFERRY_SWEEP_ONLY ?? '').split(',').filter((part) => part !== '');

const cases = modes.flatMap((mode) =>
  pointNames
    .filter((point) => isMet(point, mode))
    .flatMap((point) =>
      faultKinds.flatMap((kind) => struckAt(point, mode).map((struck): FaultCase => ({ mode, point, kind, struck }))),
    ),
);
const wanted = cases.filter((fault) => only.every((part) => wordsOf(fault).includes(part)));

function wordsOf({ mode, point, kind, struck }: FaultCase): string[] {
  return [mode, point, kind, struck ?? ''];
}

const results = new Map<string, string>();
const inWorld = sharedWorld();

describe('every fault point, every kind, every mode', () => {
  it.each(wanted.map((fault) => [titleOf(fault), fault] as const))('%s', (title, fault) =>
    inWorld(async (world) => {
      results.set(title, 'FAILED');
      const { guestOn } = await strike(world, fault);
      results.set(title, `guest on the ${guestOn}`);
    }),
  );

  afterAll(() => {
    const width = Math.max(0, ...[...results.keys()].map((title) => title.length));
    const rows = [...results].map(([title, result]) => `${title.padEnd(width)}  ${result}`);
    process.stdout.write(`\n${rows.join('\n')}\n${results.size} of ${cases.length} cases were run.\n`);
  });
});
