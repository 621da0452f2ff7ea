import { describe, expect, it } from 'vitest';
import { Metrics } from './metrics.js';

describe('metrics of an app', () => {
  it('count, observe, and ask for what is kept elsewhere at each scrape', async () => {
    const metrics = new Metrics();
    const steps = metrics.counter('steps_total', 'Steps.', { side: ['source', 'destination'] });
    const downtime = metrics.histogram('downtime_seconds', 'Downtime.', { side: ['source'] }, [0.1, 1]);
    let live = 3;
    metrics.gauge('live', 'Live ones.', { state: ['open', 'closed'] }, () => [{ labels: { state: 'open' }, value: live }]);
    metrics.total('bytes_total', 'Bytes.', { direction: ['up'] }, () => [{ labels: { direction: 'up' }, value: live * 100 }]);
    steps.add({ side: 'source' });
    steps.add({ side: 'source' }, 2);
    downtime.observe({ side: 'source' }, 0.05);
    expect(await metrics.text()).toContain('live{state="open"} 3');
    live = 4;
    const text = await metrics.text();
    for (const line of [
      'steps_total{side="source"} 3',
      'downtime_seconds_bucket{le="0.1",side="source"} 1',
      'live{state="open"} 4',
      '# TYPE bytes_total counter',
      'bytes_total{direction="up"} 400',
    ]) {
      expect(text).toContain(line);
    }
    // @ts-expect-error a label value that is not in the closed list does not compile.
    steps.add({ side: 'elsewhere' });
  });
});
