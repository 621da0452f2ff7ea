import type { SourceAgentClient } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import { describe, expect, it } from 'vitest';
import { settled, silentLog, timedContext } from '../testing/destination-context.js';
import { Handover } from './handover.js';

const key = { id: 'm1', nonce: '0'.repeat(32) };

/** A source-agent of this host that answers as scripted, and then that it has the domain. It stands for the other process. */
function neighbour(...answers: (boolean | Error)[]) {
  const asked: unknown[] = [];
  const adopt = (body: unknown) => {
    asked.push(body);
    const answer = answers.shift() ?? true;
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ adopted: answer });
  };
  return { asked, client: { adopt } as unknown as SourceAgentClient };
}

describe('Handover', () => {
  it('is told until the source-agent says that it has the domain, and lets go of the monitor only then', async () => {
    const { asked, client } = neighbour(new VmferryError('peer-unreachable', 'It does not answer.'), false);
    const { context, clock } = timedContext({ neighbour: client });
    const handover = new Handover(context, key, { ...silentLog, warn: () => undefined });
    let released = 0;
    handover.begin('u', () => {
      released += 1;
    });
    handover.begin('u', () => {
      released += 1;
    });
    await settled();
    expect([asked.length, released]).toEqual([1, 0]);
    clock.advance(100);
    await settled();
    expect([asked.length, released]).toEqual([2, 0]);
    clock.advance(100);
    await settled();
    expect([asked.length, released, clock.timers]).toEqual([3, 1, 0]);
    expect(asked[0]).toEqual({ uuid: 'u', migration: key });
    expect(await handover.within(1_000)).toBe(true);
  });

  it('Finish waits for it up to its time and then answers anyway', async () => {
    const { context, clock } = timedContext();
    const handover = new Handover(context, key, silentLog);
    handover.begin('u', () => undefined);
    const within = handover.within(1_000);
    await settled();
    clock.advance(1_000);
    expect(await within).toBe(false);
  });
});
