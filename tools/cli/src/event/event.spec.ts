import { describe, expect, it } from 'vitest';
import { problem, scriptedAgent } from '../spec/scripted-agent.js';
import { shell } from '../spec/shell.js';

const event = (id: number, name: string) => ({
  id,
  at: '2026-01-01T00:00:00.000Z',
  hostName: 'here',
  domain: { uuid: '0a1b2c3d-0000-4000-8000-000000000001', name },
  event: 'suspended',
  detail: 'migrated',
  libvirt: { event: 3, detail: 1 },
});

/** An agent that tells one event and then goes on listening. */
const telling = (told: ReturnType<typeof event>) =>
  scriptedAgent((_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(`retry: 3000\n\nevent: lifecycle\nid: ${told.id}\ndata: ${JSON.stringify(told)}\n\n`);
  });

/** Runs the command until it has printed something, then presses Ctrl-C. */
async function untilPrinted(...argv: string[]) {
  const { run, written, signal } = shell();
  const code = run(...argv);
  await expect.poll(() => written.out).toContain('\n');
  signal('SIGINT');
  return { code: await code, written };
}

describe('vmferry event', () => {
  it('prints each event on a line until Ctrl-C, which is 130; what comes from elsewhere cannot drive the terminal', async () => {
    const agent = await telling({ ...event(42, 'web'), detail: 'migrated\u001b[2J' });
    const { code, written } = await untilPrinted('event', '-c', agent.url);
    expect([code, written.err]).toEqual([130, '']);
    expect(written.out).toMatch(/^2026-01-01T00:00:00.000Z {2}42 {2}web {2}suspended migrated\S+\n$/);
    expect(written.out).not.toContain('\u001b');
    expect(agent.heard.map(({ path, headers }) => [path, headers['last-event-id']])).toEqual([['/v1/events', undefined]]);
  });

  it('begins behind an id, of one domain, as JSON', async () => {
    const agent = await telling(event(43, 'web'));
    const { written } = await untilPrinted('event', '--domain', 'web', '--after', '0', '--json', '-c', agent.url);
    expect(JSON.parse(written.out)).toEqual(event(43, 'web'));
    expect(agent.heard.map(({ path, headers }) => [path, headers['last-event-id']])).toEqual([['/v1/events?domain=web', '0']]);
  });

  it('a refusal ends it', async () => {
    const agent = await scriptedAgent((_, res) => problem(res, 403, 'forbidden'));
    const { run, written } = shell();
    expect(await run('event', '-c', agent.url)).toBe(1);
    expect(written.err).toContain('(forbidden)');
  });
});
