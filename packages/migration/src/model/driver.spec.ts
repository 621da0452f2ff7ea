import { VmferryError } from '@vmferry/errors';
import { expect, it } from 'vitest';
import { coordinate } from '../coordinator.js';
import { afterStep } from './driver.js';
import type { Driver } from './world.js';

/** The calls of the real coordinator when the named steps fail. */
async function callsOf(failing: ReadonlySet<string>): Promise<string[]> {
  const calls: string[] = [];
  const call = async (step: string): Promise<string> => {
    calls.push(step);
    if (failing.has(step)) throw new VmferryError('peer-unreachable', step);
    return step;
  };
  await coordinate(
    {
      begin: async () => 'begun',
      prepare: () => call('prepare'),
      perform: () => call('perform'),
      finish: (_, performed) => call(performed === null ? 'cancel' : 'finish'),
      confirm: async () => {
        await call('confirm');
        return 'committed';
      },
    },
    () => new Date(0),
  );
  return calls;
}

function callsOfModel(failing: ReadonlySet<string>): string[] {
  const calls: string[] = [];
  for (let at: Driver = 'prepare'; at in afterStep; ) {
    calls.push(at);
    at = afterStep[at as keyof typeof afterStep][failing.has(at) ? 'failed' : 'done'];
  }
  return calls;
}

it('the driver of the model takes the steps in the order of the real coordinator, whatever fails', async () => {
  const steps = ['prepare', 'perform', 'finish', 'cancel', 'confirm'];
  for (let bits = 0; bits < 1 << steps.length; bits += 1) {
    const failing = new Set(steps.filter((_, index) => (bits & (1 << index)) !== 0));
    expect(callsOfModel(failing)).toEqual(await callsOf(failing));
  }
});
