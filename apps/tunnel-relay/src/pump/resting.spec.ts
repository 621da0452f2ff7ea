import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Progress } from './direction.js';
import { movesUnaskedMax, RestingDirection } from './resting.js';
import { rigOn } from './testing/rig.js';

/** A direction that says the same each time, and how often it was asked. */
function saying(progress: Progress) {
  const direction = {
    asked: 0,
    step: () => {
      direction.asked += 1;
      return progress;
    },
  };
  return { direction, resting: new RestingDirection(direction) };
}

describe('RestingDirection', () => {
  it('is not asked while the other one moves, but after 16 moves of it', () => {
    const { direction, resting } = saying('readable');
    expect(resting.step('moved')).toBe('readable');
    for (let moves = 0; moves < movesUnaskedMax; moves += 1) expect(resting.step('moved')).toBe('readable');
    expect(direction.asked).toBe(1);
    expect(resting.step('moved')).toBe('readable');
    expect([direction.asked, movesUnaskedMax]).toEqual([2, 16]);
  });

  it.each(['readable', 'writable', 'paced', 'ended'] as const)('is asked each time when the other one is %s', (other) => {
    const { direction, resting } = saying('readable');
    for (let turns = 0; turns < 5; turns += 1) resting.step(other);
    expect(direction.asked).toBe(5);
  });

  it.each(['moved', 'writable', 'paced', 'ended'] as const)('does not rest when it is %s itself', (own) => {
    const { direction, resting } = saying(own);
    for (let turns = 0; turns < 5; turns += 1) expect(resting.step('moved')).toBe(own);
    expect(direction.asked).toBe(5);
  });
});

describe.each([
  ['to-remote', 'local', 'remote'],
  ['to-local', 'remote', 'local'],
] as const)('the pump while memory pours %s', (bulk, sender, receiver) => {
  it('serves the return path, each message before the torrent has ended', { timeout: 60_000 }, async () => {
    const { pump, ...ends } = await rigOn('splice')('unix', 'tcp', { bulk });
    const [from, to] = [ends[sender].peer, ends[receiver].peer];
    const block = Buffer.alloc(1_048_576, 'm');
    let pours = true;
    const pour = () => {
      if (pours) from.write(block, pour);
      else from.end();
    };
    pour();
    to.resume();
    for (let turn = 0; turn < 20; turn += 1) {
      const heard = once(from, 'data');
      to.write('r');
      expect(String((await heard)[0])).toBe('r');
      // The next message leaves in the middle of the torrent: more of it has to come first.
      await once(to, 'data');
    }
    pours = false;
    await once(to, 'end');
    to.end();
    expect(await pump.ended).toEqual({ t: 'clean' });
  });
});
