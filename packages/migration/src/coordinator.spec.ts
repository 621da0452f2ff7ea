import { VmferryError } from '@vmferry/errors';
import { describe, expect, it } from 'vitest';
import { type ConfirmedOutcome, coordinate, type StepName } from './coordinator.js';

const at = new Date('2030-01-01T00:00:00Z');

/** Runs one migration whose named steps fail, and writes down the conversation. */
async function conversation(failing: readonly StepName[], confirmed: ConfirmedOutcome = 'committed') {
  const lines: string[] = [];
  const call = async <T>(step: StepName, said: string, reply: T): Promise<T> => {
    lines.push(said);
    if (failing.includes(step)) throw new VmferryError('peer-unreachable', `${step} failed`);
    return reply;
  };
  const entered: StepName[] = [];
  const result = coordinate(
    {
      begin: () => call('begin', 'begin', 'b'),
      prepare: (begun) => call('prepare', `prepare ${begun}`, 'p'),
      perform: (begun, prepared) => call('perform', `perform ${begun} ${prepared}`, 'permit'),
      finish: (begun, performed) => call('finish', `finish ${begun} ${performed}`, 'f'),
      confirm: (begun, finished) => call('confirm', `confirm ${begun} ${finished}`, confirmed),
    },
    () => at,
    (step) => entered.push(step),
  );
  return { lines, entered, result };
}

describe('coordinate', () => {
  it.each([
    [[], ['begin', 'prepare b', 'perform b p', 'finish b permit', 'confirm b f']],
    [['prepare'], ['begin', 'prepare b', 'finish b null', 'confirm b f']],
    [['perform'], ['begin', 'prepare b', 'perform b p', 'finish b null', 'confirm b f']],
    [['finish'], ['begin', 'prepare b', 'perform b p', 'finish b permit', 'confirm b null']],
    [
      ['perform', 'finish', 'confirm'],
      ['begin', 'prepare b', 'perform b p', 'finish b null', 'confirm b null'],
    ],
  ] as [StepName[], string[]][])('S41: what goes out of a step goes into the next; %j fail', async (failing, expected) => {
    const { lines, entered, result } = await conversation(failing);
    await result;
    expect(lines).toEqual(expected);
    expect(entered).toEqual(expected.map((line) => line.split(' ')[0]));
  });

  it('S27: the first error is the error, and the later ones are kept beside it with side, step and time', async () => {
    const { error, outcome } = await (await conversation(['perform', 'finish', 'confirm'])).result;
    expect(error).toMatchObject({ message: 'perform failed', place: { side: 'source', phase: 'perform' } });
    expect(error?.suppressed).toEqual([
      { side: 'destination', phase: 'finish', code: 'peer-unreachable', detail: 'finish failed', at: at.toISOString() },
      { side: 'source', phase: 'confirm', code: 'peer-unreachable', detail: 'confirm failed', at: at.toISOString() },
    ]);
    expect(outcome).toBe('pending');
  });

  it('S26: a lost reply of Finish is no failure when the record says committed', async () => {
    const { outcome, error } = await (await conversation(['finish'])).result;
    expect(outcome).toBe('committed');
    expect(error?.message).toBe('finish failed');
  });

  it.each([
    ['committed', null],
    ['aborted', 'migration-aborted'],
    ['open', 'migration-undecided'],
    ['pending', 'migration-undecided'],
    ['unknown', 'migration-undecided'],
  ] as const)('S26: %s is never without the error that it means', async (outcome, code) => {
    const { result } = await conversation([], outcome);
    expect((await result).error?.code ?? null).toBe(code);
  });

  it('S26: an error of a step is not replaced by the outcome', async () => {
    expect((await (await conversation(['perform'], 'aborted')).result).error?.message).toBe('perform failed');
  });

  it('throws what Begin threw, and takes no other step', async () => {
    const { lines, result } = await conversation(['begin']);
    await expect(result).rejects.toMatchObject({ message: 'begin failed', place: { side: 'source', phase: 'begin' } });
    expect(lines).toEqual(['begin']);
  });
});
