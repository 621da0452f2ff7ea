import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventParser } from './events.js';
import { problem, scriptedApp } from './scripted-app.js';
import { SourceAgentClient } from './source-agent-client.js';

const stream =
  'retry: 3000\n\nevent: snapshot\nid: 5\ndata: {"n":0}\n\n: still here\n\nevent: phase\nid: 6\ndata: {"a":\ndata: 1}\n\n';

describe('EventParser', () => {
  it('finds the same events however the text is cut', () => {
    const whole = new EventParser().push(stream);
    expect(whole).toEqual([
      { event: 'snapshot', id: 5, data: '{"n":0}' },
      { event: 'phase', id: 6, data: '{"a":\n1}' },
    ]);
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 10 }), (cuts) => {
        const parser = new EventParser();
        const at = [0, ...cuts.sort((a, b) => a - b), stream.length];
        const events = at.slice(1).flatMap((end, index) => parser.push(stream.slice(at[index], end)));
        expect(events).toEqual(whole);
      }),
    );
  });

  it('an event without an end is refused before it fills the memory', () => {
    const parser = new EventParser();
    expect(() => {
      for (let n = 0; n < 100; n += 1) parser.push('x'.repeat(100_000));
    }).toThrow(/over 4194304/);
  });
});

const at = '2030-01-01T00:00:00.000Z';
const resource = (generation: number) => ({
  id: 'm1',
  generation,
  side: 'source',
  state: 'RUNNING',
  phase: 'perform',
  phaseTransitions: [],
  domain: { uuid: 'u', name: 'd', destinationName: 'd' },
  protocol: 'v3',
  mode: { driver: 'managed', transport: 'direct' },
  flags: [],
  guest: { runningOn: 'source', detail: '' },
  source: { agent: null, hostName: null, state: 's' },
  destination: { agent: null, hostName: null, state: 's' },
  outcome: null,
  parameters: { bandwidthBytesPerSec: null, downtimeMsMax: 300 },
  progress: null,
  cancel: null,
  timeouts: { totalSeconds: null, secondsPerGib: null, stallSeconds: null, action: 'cancel' },
  forceComplete: null,
  held: null,
  error: null,
  createdAt: at,
  finishedAt: null,
});
const event = (name: string, generation: number) =>
  `event: ${name}\nid: ${generation}\ndata: ${JSON.stringify(resource(generation))}\n\n`;

describe('watch', () => {
  it('tells each change until done, and resumes behind the last one when the connection ends early', async () => {
    const app = await scriptedApp((_heard, res, count) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      if (count === 1) res.write(event('snapshot', 3) + event('phase', 4), () => res.destroy());
      else res.end(event('progress', 5) + event('done', 6));
    });
    const seen: number[] = [];
    for await (const { generation } of new SourceAgentClient(app.url).watch('m1')) seen.push(generation);
    expect(seen).toEqual([3, 4, 5, 6]);
    expect(app.heard.map(({ url, headers }) => [url, headers['last-event-id']])).toEqual([
      ['/v1/migrations/m1/events', undefined],
      ['/v1/migrations/m1/events', '4'],
    ]);
  });

  it('a refusal and an event of no sense are thrown', async () => {
    const refusing = await scriptedApp((_heard, res) => problem(res, 404, 'migration-not-found', 'None.'));
    await expect(new SourceAgentClient(refusing.url).watch('m1').next()).rejects.toMatchObject({ code: 'migration-not-found' });
    const odd = await scriptedApp((_heard, res) => res.writeHead(200).end('event: snapshot\nid: 1\ndata: {"id":7}\n\n'));
    await expect(new SourceAgentClient(odd.url).watch('m1').next()).rejects.toMatchObject({ code: 'peer-nonsense' });
  });

  it('ends by its signal', async () => {
    const app = await scriptedApp((_heard, res) => res.writeHead(200).write(event('snapshot', 1)));
    const abort = new AbortController();
    const watching = new SourceAgentClient(app.url).watch('m1', { signal: abort.signal });
    expect((await watching.next()).value?.generation).toBe(1);
    const next = watching.next();
    abort.abort(new Error('the user left'));
    await expect(next).rejects.toThrow('the user left');
  });
});

describe('lifecycle events', () => {
  const lifecycle = (id: number) =>
    `event: lifecycle\nid: ${id}\ndata: ${JSON.stringify({
      id,
      at,
      hostName: 'h',
      domain: { uuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8', name: 'd' },
      event: 'started',
      detail: 'booted',
      libvirt: { event: 2, detail: 0 },
    })}\n\n`;

  it('are told for as long as they are asked for, and resumed behind the last, or behind where the reader stood', async () => {
    const app = await scriptedApp((_heard, res, count) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      if (count === 1) res.end('retry: 3000\n\nid: 7\n\n');
      else if (count === 2) res.end(`${lifecycle(8)}event: overflow\ndata: {}\n\n`);
      else res.write(lifecycle(9));
    });
    const seen: number[] = [];
    for await (const { id } of new SourceAgentClient(app.url).events({ domain: 'a b' })) {
      seen.push(id);
      if (id === 9) break;
    }
    expect(seen).toEqual([8, 9]);
    expect(app.heard.map(({ url, headers }) => [url, headers['last-event-id']])).toEqual([
      ['/v1/events?domain=a%20b', undefined],
      ['/v1/events?domain=a%20b', '7'],
      ['/v1/events?domain=a%20b', '8'],
    ]);
  });

  it('begin behind an id, and one that is none is refused', async () => {
    const app = await scriptedApp((_heard, res) => res.writeHead(200).end('event: lifecycle\nid: 1\ndata: {}\n\n'));
    await expect(new SourceAgentClient(app.url).events({ afterId: 0 }).next()).rejects.toMatchObject({ code: 'peer-nonsense' });
    expect(app.heard[0]?.headers['last-event-id']).toBe('0');
  });
});
