import { ManualClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { Throughput } from './throughput.js';

function setup() {
  const clock = new ManualClock();
  const counters = { bytesToLocal: 0, bytesToRemote: 0, spliceCalls: 0, stalls: 0, silentMs: 0 };
  const throughput = new Throughput(clock, counters);
  const move = (toPeer: number, fromPeer: number, ms: number) => {
    counters.bytesToRemote += toPeer;
    counters.bytesToLocal += fromPeer;
    clock.advance(ms);
  };
  return { clock, throughput, move };
}

describe('the rate of a stream', () => {
  it('is 0 at its start, and in its first second that since its start', () => {
    const { throughput, move } = setup();
    expect(throughput.bytesPerSec).toEqual({ toPeer: 0, fromPeer: 0 });
    move(1_000, 10, 100);
    expect(throughput.bytesPerSec).toEqual({ toPeer: 10_000, fromPeer: 100 });
  });

  it('is that of the last second, whenever it is read', () => {
    const { throughput, move } = setup();
    for (let ms = 0; ms < 10_000; ms += 10) move(ms < 5_000 ? 1_000 : 70, 0, 10);
    for (let ms = 0; ms < 400; ms += 10) {
      expect(throughput.bytesPerSec.toPeer).toBe(7_000);
      move(70, 0, 10);
    }
  });

  it('is 0 after 1.2 s of silence, and not before a second of it', () => {
    const { throughput, move } = setup();
    for (let ms = 0; ms < 3_000; ms += 10) move(100, 100, 10);
    move(0, 0, 990);
    expect(throughput.bytesPerSec.toPeer).toBeGreaterThan(0);
    move(0, 0, 210);
    expect(throughput.bytesPerSec).toEqual({ toPeer: 0, fromPeer: 0 });
  });

  it('is right after a freeze of the process: over the time that it took', () => {
    const { clock, throughput, move } = setup();
    move(0, 0, 2_000);
    clock.freeze(10_000);
    move(50_000, 0, 0);
    expect(throughput.bytesPerSec.toPeer).toBeLessThanOrEqual(5_000);
  });

  it('leaves no timer behind', () => {
    const { clock, throughput, move } = setup();
    move(1, 1, 10_000);
    throughput.stop();
    expect(clock.timers).toBe(0);
  });
});
