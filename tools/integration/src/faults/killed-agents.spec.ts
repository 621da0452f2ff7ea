import { describe, it } from 'vitest';
import { type Mode, modes } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import { isMet, type PointName, pointNames, restartOf } from './fault-points.js';
import { strike, titleOf } from './strike.js';

/** The points of Finish and Confirm are met in every mode; the others take the modes in turn. */
const everyMode = new Set<PointName>([
  'S16',
  'S17',
  'S18',
  'S19',
  'S20',
  'S21',
  'D13',
  'D14',
  'D15',
  'D16',
  'D17',
  'D18',
  'D19',
  'D20',
]);

function modesFor(point: PointName, index: number): Mode[] {
  const met = modes.filter((mode) => isMet(point, mode));
  if (!everyMode.has(point)) return met.slice(index % met.length).slice(0, 1);
  return ['p2p-tunnelled', 'p2p-direct', index % 2 === 0 ? 'managed-direct' : 'managed-tunnelled'];
}

const inWorld = sharedWorld();
const cases = pointNames.flatMap((point, index) =>
  modesFor(point, index).map((mode) => ({ mode, point, kind: 'kill' }) as const),
);

/** By the lines of the restart table, so that each is seen to have its cases. */
const lines = [...new Set(cases.map(({ point, mode }) => restartOf(point, mode)))];

describe.each(lines)('I11: killed and started again: %s', (line) => {
  const faults = cases.filter(({ point, mode }) => restartOf(point, mode) === line);
  it.each(faults.map((fault) => [titleOf(fault), fault] as const))('%s', (_title, fault) =>
    inWorld((world) => strike(world, fault).then(() => undefined)),
  );
});
