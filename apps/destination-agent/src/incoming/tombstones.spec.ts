import { readdirSync } from 'node:fs';
import { ManualClock } from '@vmferry/seams';
import request from 'supertest';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runningAgent } from '../testing/running-agent.js';
import { Tombstones, tombstonesMax } from './tombstones.js';

const dayMs = 24 * 3_600 * 1_000;

describe('tombstones', () => {
  it('give way one by one when nobody has asked about them for a day, and not before', () => {
    const clock = new ManualClock();
    const tombstones = new Tombstones(clock);
    for (let n = 0; n < tombstonesMax; n += 1) {
      expect(tombstones.givesWay()).toBeNull();
      tombstones.asked(`m${n}`);
    }
    expect(() => tombstones.givesWay()).toThrow(expect.objectContaining({ code: 'too-many-requests' }));
    clock.advance(dayMs - 1);
    tombstones.asked('m0');
    expect(() => tombstones.givesWay()).toThrow();
    clock.advance(1);
    expect(tombstones.givesWay()).toBe('m1');
    tombstones.remove('m1');
    expect(tombstones.givesWay()).toBeNull();
    tombstones.asked('new');
    expect(tombstones.givesWay()).toBe('m2');
    expect(tombstones.size).toBe(tombstonesMax);
  });

  it('threat 12: questions about unknown keys fill a bound of their own, are not answered above it, and known ones still are', async () => {
    const agent = await runningAgent();
    onTestFinished(() => agent.end());
    const { storeId } = (await request(agent.url).get('/version')).body;
    const ask = (n: number, step = 'outcome') => {
      const body = step === 'outcome' ? { storeId } : { cookie: '', cancelled: true };
      const nonce = n.toString(16).padStart(32, '0');
      return request(agent.url)
        .post(`/v1/migrations/m${n}/${step}`)
        .send({ nonce, ...body });
    };
    for (let n = 0; n < tombstonesMax; n += 50) {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, more) => ask(n + more)));
      expect(answers.every(({ status, body }) => status === 200 && body.answer === 'aborted')).toBe(true);
    }
    for (const step of ['outcome', 'finish']) {
      const { status, body } = await ask(tombstonesMax, step);
      expect([step, status, body.code, body.retryable]).toEqual([step, 429, 'too-many-requests', true]);
    }
    expect((await ask(0)).body.answer).toBe('aborted');
    expect(readdirSync(`${agent.folder}/state/migrations`)).toHaveLength(tombstonesMax);
  });
});
