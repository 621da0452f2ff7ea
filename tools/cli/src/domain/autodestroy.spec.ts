import { describe, expect, it } from 'vitest';
import { domainOf } from '../spec/fixtures.js';
import { json, problem, type ScriptedAgent, scriptedAgent } from '../spec/scripted-agent.js';
import { shell } from '../spec/shell.js';
import { happening } from '../spec/until.js';

const session = { id: '6ba7b810-9dad-11d1-80b4-00c04fd430c8', ttlSeconds: 15, expiresAt: '2030-01-01T00:00:00.000Z' };

/** An agent that starts the guest, and tells of it what `look` says. */
async function agentWith(look: () => ReturnType<typeof domainOf> | null): Promise<ScriptedAgent> {
  return scriptedAgent(({ method, path }, res) => {
    if (path === '/v1/sessions') json(res, 201, session);
    else if (method === 'DELETE') res.writeHead(204).end();
    else if (method === 'POST') json(res, 200, domainOf());
    else {
      const domain = look();
      if (domain === null) problem(res, 404, 'domain-not-found');
      else json(res, 200, domain);
    }
  });
}
const asked = ({ heard }: ScriptedAgent) => heard.map(({ method, path }) => `${method} ${path}`);
const start = ['domain', 'start', 'web', '--autodestroy', '-c'];

describe('domain start --autodestroy', () => {
  it('S17: starts with a session of its own and ends it at Ctrl-C', async () => {
    const looked = happening();
    const agent = await agentWith(() => {
      looked.happened();
      return domainOf();
    });
    const { run, written, signal } = shell();
    const ran = run(...start, agent.url);
    await looked.promise;
    signal('SIGINT');
    expect(await ran).toBe(130);
    expect(agent.heard[1]?.body).toEqual({ paused: false, autodestroy: session.id });
    expect([asked(agent)[0], asked(agent).at(-1)]).toEqual(['POST /v1/sessions', `DELETE /v1/sessions/${session.id}`]);
    expect(written.out).toBe("Domain 'web' started\n");
    expect(written.err).toContain('web is destroyed when this command ends');
  });

  it.each([
    ['is shut off', domainOf({ state: 'shutoff', pid: null })],
    ['is another guest', domainOf({ pid: 5_000 })],
    ['is not there any more', null],
  ])('S17: ends with the guest: it %s', async (_, told) => {
    const agent = await agentWith(() => told);
    const { run, written } = shell();
    expect(await run(...start, agent.url)).toBe(0);
    expect(written.err).toContain('web has ended');
    expect(asked(agent).at(-1)).toBe(`DELETE /v1/sessions/${session.id}`);
  });

  it('a start that is refused leaves no session behind', async () => {
    const agent = await scriptedAgent(({ method, path }, res) => {
      if (path === '/v1/sessions') json(res, 201, session);
      else if (method === 'DELETE') res.writeHead(204).end();
      else problem(res, 409, 'domain-running');
    });
    const { run } = shell();
    expect(await run(...start, agent.url)).toBe(1);
    expect(asked(agent)).toEqual(['POST /v1/sessions', 'POST /v1/domains/web/start', `DELETE /v1/sessions/${session.id}`]);
  });
});
