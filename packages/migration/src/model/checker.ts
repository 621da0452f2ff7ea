import { transitionsOf } from './environment.js';
import { brokenBy, type Invariant, isSettledWorld } from './invariants.js';
import { type Config, initialWorld, nameOf, type World } from './world.js';

export interface Violation {
  readonly invariant: Invariant;
  readonly disturbances: number;
  /** What happened, in order. */
  readonly trace: readonly string[];
  /** Where it ended. */
  readonly world: World;
}

export interface Checked {
  readonly states: number;
  readonly violation: Violation | null;
}

/** Every world that was reached, in the order of the disturbances that it took. */
interface Reached {
  readonly worlds: World[];
  readonly parents: number[];
  readonly labels: string[];
  readonly disturbances: number[];
  /** For each world, those from which it is reached without a disturbance. */
  readonly freely: number[][];
}

/**
 * Every world within `config.faults` disturbances, breadth-first in the order of disturbances: a world is first reached by
 * the fewest, and so never has to be visited again. Stops at the first broken invariant; otherwise looks for dead ends.
 */
export function check(config: Config): Checked {
  const reached: Reached = { worlds: [], parents: [], labels: [], disturbances: [], freely: [] };
  const numbers = new Map<string, number>();
  const later: number[][] = Array.from({ length: config.faults + 1 }, () => []);
  const pending: { parent: number; label: string; world: World }[][] = Array.from({ length: config.faults + 1 }, () => []);
  const found = (world: World, parent: number, label: string, used: number): number => {
    const name = nameOf(world);
    const known = numbers.get(name);
    if (known !== undefined) return known;
    const number = reached.worlds.length;
    numbers.set(name, number);
    reached.worlds.push(world);
    reached.parents.push(parent);
    reached.labels.push(label);
    reached.disturbances.push(used);
    reached.freely.push([]);
    later[used]?.push(number);
    return number;
  };

  pending[0]?.push({ parent: -1, label: '', world: initialWorld(config) });
  for (let used = 0; used <= config.faults; used += 1) {
    for (const { parent, label, world } of pending[used] ?? []) found(world, parent, label, used);
    pending[used] = [];
    const queue = later[used] ?? [];
    for (let at = 0; at < queue.length; at += 1) {
      const number = queue[at] ?? 0;
      const world = reached.worlds[number];
      if (world === undefined) continue;
      for (const { label, by, cost, next } of transitionsOf(world, config, config.faults - used)) {
        const invariant = brokenBy(world, next, by, config);
        if (invariant !== null) {
          const violation = { invariant, disturbances: used + cost, trace: [...traceTo(reached, number), label], world: next };
          return { states: reached.worlds.length, violation };
        }
        if (cost === 1 && !numbers.has(nameOf(next))) pending[used + 1]?.push({ parent: number, label, world: next });
        else if (cost === 1) continue;
        else reached.freely[found(next, number, label, used)]?.push(number);
      }
    }
  }
  return { states: reached.worlds.length, violation: deadEnd(reached, config) };
}

function traceTo(reached: Reached, number: number): string[] {
  const trace: string[] = [];
  for (let at = number; at > 0; at = reached.parents[at] ?? -1) trace.unshift(reached.labels[at] ?? '');
  return trace;
}

/** I11: a world from which no way without a disturbance leads to a settled one. */
function deadEnd(reached: Reached, config: Config): Violation | null {
  const alive = new Uint8Array(reached.worlds.length);
  const queue: number[] = [];
  reached.worlds.forEach((world, number) => {
    if (!isSettledWorld(world, config)) return;
    alive[number] = 1;
    queue.push(number);
  });
  for (let number = queue.pop(); number !== undefined; number = queue.pop()) {
    for (const before of reached.freely[number] ?? []) {
      if (alive[before] === 1) continue;
      alive[before] = 1;
      queue.push(before);
    }
  }
  const dead = alive.indexOf(0);
  const world = reached.worlds[dead];
  if (world === undefined) return null;
  return { invariant: 'I11', disturbances: reached.disturbances[dead] ?? 0, trace: traceTo(reached, dead), world };
}
