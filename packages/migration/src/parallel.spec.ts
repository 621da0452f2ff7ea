import { describe, expect, it } from 'vitest';
import { parseFlags } from './flags.js';
import { checkOffline } from './offline.js';
import { channelsOf, checkParallel, isParallel, refuseParallelIn } from './parallel.js';

const tunnelled = ['LIVE', 'TUNNELLED', 'PARALLEL'];

describe('S6: PARALLEL beside other flags and wishes', () => {
  it('needs TUNNELLED, and says so', () => {
    const refused = expect.objectContaining({
      code: 'flag-unsupported',
      message: expect.stringMatching(/give TUNNELLED too.*or leave PARALLEL out/),
      errors: [expect.objectContaining({ path: '/flags' })],
    });
    expect(() => checkParallel(parseFlags(['LIVE', 'PARALLEL']), 4)).toThrow(refused);
    expect(() => checkParallel(parseFlags(tunnelled), 4)).not.toThrow();
    expect(() => checkParallel(tunnelled, undefined)).not.toThrow();
  });

  it('a number of connections needs PARALLEL', () => {
    const refused = expect.objectContaining({
      code: 'invalid-argument',
      errors: [expect.objectContaining({ path: '/parallelConnections' })],
    });
    expect(() => checkParallel(['LIVE', 'TUNNELLED'], 2)).toThrow(refused);
    expect(() => checkParallel(['LIVE'], undefined)).not.toThrow();
  });

  it('is at odds with OFFLINE', () => {
    const flags = ['OFFLINE', 'PERSIST_DEST'];
    const refused = expect.objectContaining({ code: 'invalid-argument' });
    expect(() => checkOffline([...flags, 'PARALLEL'], {})).toThrow(refused);
    expect(() => checkOffline(flags, { parallelConnections: 2 })).toThrow(refused);
  });

  it('is of v3 alone', () => {
    expect(() => refuseParallelIn('v2', tunnelled)).toThrow(expect.objectContaining({ code: 'peer-protocol' }));
    expect(() => refuseParallelIn('v3', tunnelled)).not.toThrow();
    expect(() => refuseParallelIn('v2', ['LIVE'])).not.toThrow();
  });
});

it("the channels of a parallel migration are as many as its caller says, or two, QEMU's own default", () => {
  expect([channelsOf(tunnelled, 8), channelsOf(tunnelled, undefined), channelsOf(['LIVE'], undefined)]).toEqual([8, 2, null]);
  expect([isParallel(tunnelled), isParallel(parseFlags([]))]).toEqual([true, false]);
});
