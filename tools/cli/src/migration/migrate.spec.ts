import type { MigrationResource } from '@vmferry/api';
import { systemClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { cancelled, failed, migrationOf, needsAttention, succeeded, versionOf } from '../spec/fixtures.js';
import { type Answer, type Heard, json, problem, scriptedAgent, sse } from '../spec/scripted-agent.js';
import { shell } from '../spec/shell.js';
import { happening, skippingClock } from '../spec/until.js';

const destination = 'http://127.0.0.1:1';
const line = ['migrate', 'web', destination, '--live', '--id', 'm1'];

/** Takes a migration and tells of its end by an event. */
const endingWith =
  (...changes: MigrationResource[]): Answer =>
  ({ path }, res) => {
    if (path === '/v1/migrations') return json(res, 202, migrationOf());
    const tell = sse(res);
    for (const change of changes) tell(change.finishedAt === null ? 'phase' : 'done', change);
  };

describe('a peer-to-peer migration', () => {
  it('that succeeds ends with 0 and says where the guest runs', async () => {
    const agent = await scriptedAgent(endingWith(migrationOf(), succeeded));
    const { run, written } = shell();
    expect(await run(...line, '-c', agent.url)).toBe(0);
    expect(written.err).toBe('');
    expect(written.out).toContain('web: perform  42%');
    expect(written.out).toContain('web: succeeded after 1.23 s; the guest is on the destination, host-b');
    expect(written.out).toContain('measured downtime 14 ms');
    expect(written.out).not.toContain('\u001b');
  });

  it('draws one live line on a terminal and the summary in its place', async () => {
    const agent = await scriptedAgent(endingWith(migrationOf(), succeeded));
    const { run, written } = shell({ isTerminal: true });
    await run(...line, '-c', agent.url);
    const lines = written.out.split('\r\u001b[2K').filter((text) => text !== '');
    expect(lines.map((text) => text.slice(0, 14))).toEqual(['web: perform  ', 'web: succeeded', 'web: succeeded']);
  });

  it('is NDJSON with --json, the end last', async () => {
    const agent = await scriptedAgent(endingWith(migrationOf(), succeeded));
    const { run, written } = shell({ isTerminal: true });
    expect(await run(...line, '--json', '-c', agent.url)).toBe(0);
    const told = written.out
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as MigrationResource);
    expect(told).toEqual([migrationOf(), succeeded]);
  });

  it('that fails with the guest safe on the source ends with 1 and its error', async () => {
    const agent = await scriptedAgent(endingWith(failed));
    const { run, written } = shell();
    expect(await run(...line, '-c', agent.url)).toBe(1);
    expect(written.err).toBe('error: The peer relay reset the stream (stream-failed)\n  in perform at the source\n');
    expect(written.out).toContain('the guest is on the source, host-a');
  });

  it('that needs attention ends with 3 and what to do', async () => {
    const agent = await scriptedAgent(endingWith(needsAttention));
    const clock = { ...systemClock, after: (ms: number, act: () => void) => systemClock.after(ms / 1_000, act) };
    const { run, written } = shell({ clock });
    expect(await run(...line, '-c', agent.url)).toBe(3);
    expect(written.out).toContain('hint: fence one side, then resolve');
  });

  it('that is refused ends with 1', async () => {
    const agent = await scriptedAgent((_, res) => problem(res, 409, 'already-migrating'));
    const { run, written } = shell();
    expect(await run(...line, '-c', agent.url)).toBe(1);
    expect(written.err).toContain('(already-migrating)\n  hint: `vmferry migration list`');
  });

  it('whose reply was lost is found by its id', async () => {
    const agent = await scriptedAgent((heard, res) => {
      if (heard.method === 'POST') res.destroy();
      else if (heard.path === '/v1/migrations/m1') json(res, 200, migrationOf());
      else endingWith(succeeded)(heard, res);
    });
    expect(await shell().run(...line, '-c', agent.url)).toBe(0);
  });

  it('whose request was lost ends with 1: nothing has happened', async () => {
    const agent = await scriptedAgent(({ method }, res) =>
      method === 'POST' ? void res.destroy() : problem(res, 404, 'migration-not-found'),
    );
    const { run, written } = shell();
    expect(await run(...line, '-c', agent.url)).toBe(1);
    expect(written.err).toContain('(peer-unreachable)');
  });

  it('that is lost sight of ends with 3', async () => {
    const agent = await scriptedAgent((heard, res) =>
      heard.method === 'POST' ? json(res, 202, migrationOf()) : problem(res, 404, 'migration-not-found'),
    );
    const { run, written } = shell();
    expect(await run(...line, '-c', agent.url)).toBe(3);
    expect(written.err).toContain('how the migration ends is not known');
  });
});

describe('Ctrl-C', () => {
  /** An agent whose migration goes on until it is cancelled, if it ever takes a cancel. */
  const patientAgent = async (end: MigrationResource | null) => {
    const watched = happening();
    const asked = happening();
    let tell: ReturnType<typeof sse> = () => undefined;
    const agent = await scriptedAgent(({ method, path }, res) => {
      if (path.endsWith('/cancel')) {
        json(res, 202, { ...migrationOf(), state: 'CANCELLING' });
        asked.happened();
        if (end !== null) tell('done', end);
      } else if (method === 'POST') {
        json(res, 202, migrationOf());
      } else {
        tell = sse(res);
        tell('snapshot', migrationOf());
        watched.happened();
      }
    });
    return { agent, watched: watched.promise, asked: asked.promise };
  };

  it.each([
    ['cancels, and the end is 130', cancelled, 130],
    ['comes too late for a guest that has moved: 0', succeeded, 0],
  ])('once %s', async (_, end, code) => {
    const { agent, watched, asked } = await patientAgent(end);
    const { run, signal, written } = shell();
    const done = run(...line, '-c', agent.url);
    await watched;
    signal('SIGINT');
    signal('SIGINT'); // npx passes the terminal's signal on once more
    await asked;
    expect(await done).toBe(code);
    expect(written.err).toContain('cancelling; Ctrl-C again stops watching');
  });

  it('twice stops watching: 130, and the migration is left to the agent', async () => {
    const { agent, watched, asked } = await patientAgent(null);
    const { clock, skip } = skippingClock();
    const { run, signal, written } = shell({ clock });
    const done = run(...line, '-c', agent.url);
    await watched;
    signal('SIGINT');
    await asked;
    skip(600);
    signal('SIGINT');
    expect(await done).toBe(130);
    expect(written.err).toContain('`vmferry migration watch m1` tells the end');
  });

  /** An agent that does not answer the request for a migration; `has` says whether it has begun it all the same. */
  const slowAgent = async (has: boolean) => {
    const arrived = happening();
    const left = happening();
    const agent = await scriptedAgent(({ method, path }, res) => {
      if (path.endsWith('/cancel')) json(res, 202, migrationOf());
      else if (method === 'POST') {
        res.once('close', left.happened);
        arrived.happened();
      } else if (path.endsWith('/events')) sse(res)('done', cancelled);
      else if (has) json(res, 200, migrationOf());
      else problem(res, 404, 'migration-not-found');
    });
    return { agent, arrived: arrived.promise, left: left.promise };
  };
  const hasty = { ...systemClock, after: (ms: number, act: () => void) => systemClock.after(ms / 100, act) };

  it('before the agent has answered withdraws the request', async () => {
    const { agent, arrived, left } = await slowAgent(false);
    const { run, signal, written } = shell({ clock: hasty });
    const done = run(...line, '-c', agent.url);
    await arrived;
    signal('SIGINT');
    await left;
    expect(await done).toBe(130);
    expect(written.err).toContain('withdrawn before the migration had begun');
  });

  it('before the agent has answered cancels what had begun by then', async () => {
    const { agent, arrived } = await slowAgent(true);
    const { run, signal } = shell({ clock: hasty });
    const done = run(...line, '-c', agent.url);
    await arrived;
    signal('SIGINT');
    expect(await done).toBe(130);
    expect(agent.heard.filter((heard) => heard.path.endsWith('/cancel'))).toHaveLength(1);
  });

  it('during `migration watch` only stops watching', async () => {
    const { agent, watched } = await patientAgent(null);
    const { run, signal } = shell();
    const done = run('migration', 'watch', 'm1', '-c', agent.url);
    await watched;
    signal('SIGINT');
    expect(await done).toBe(130);
    expect(agent.heard.map((heard) => heard.method)).toEqual(['GET']);
  });
});

describe('a managed migration', () => {
  const nonce = 'a'.repeat(32);

  /** Two agents that take the steps; `perform` and `finish` may be told to do otherwise. */
  const twoAgents = async (
    otherwise: { perform?: Answer; finish?: Answer; cancel?: Answer; end?: () => MigrationResource } = {},
  ) => {
    const asked: string[] = [];
    const isConfirmed = happening();
    const sessions = (heard: Heard, res: Parameters<Answer>[1]): boolean => {
      if (!heard.path.startsWith('/v1/sessions')) return false;
      if (heard.method === 'DELETE') res.writeHead(204).end();
      else json(res, 200, { id: '0a1b2c3d-0000-4000-8000-00000000000f', ttlSeconds: 15, expiresAt: '2026-01-01T00:00:15.000Z' });
      return true;
    };
    const source = await scriptedAgent((heard, res) => {
      const step = heard.path.split('/').at(-1) ?? '';
      if (sessions(heard, res)) return;
      asked.push(step);
      const body = heard.body as { cancelled?: boolean } | null; // the client's own request
      if (step === 'version') json(res, 200, versionOf('source-agent', 'host-a'));
      else if (step === 'begin')
        json(res, 200, {
          nonce,
          cookie: 'Y2I=',
          xml: '<domain/>',
          flags: (heard.body as { flags: string[] }).flags,
          domain: { uuid: 'u', name: 'web' },
        });
      else if (step === 'perform') (otherwise.perform ?? ((_, to) => json(to, 200, { cookie: 'Y3A=' })))(heard, res);
      else if (step === 'cancel') otherwise.cancel?.(heard, res);
      else if (step === 'confirm') {
        json(
          res,
          200,
          body?.cancelled === true ? { outcome: 'aborted', state: 'FAILED' } : { outcome: 'committed', state: 'SUCCEEDED' },
        );
        isConfirmed.happened();
      } else {
        const tell = sse(res);
        tell('snapshot', migrationOf());
        void isConfirmed.promise.then(() => tell('done', (otherwise.end ?? (() => succeeded))()));
      }
    });
    const target = await scriptedAgent((heard, res) => {
      const step = heard.path.split('/').at(-1) ?? '';
      if (sessions(heard, res)) return;
      asked.push(step);
      const body = heard.body as { cancelled?: boolean } | null; // the client's own request
      if (step === 'version') json(res, 200, versionOf('destination-agent', 'host-b'));
      else if (step === 'finish' && otherwise.finish !== undefined) otherwise.finish(heard, res);
      else if (step === 'finish' && body?.cancelled === true)
        json(res, 200, { outcome: 'aborted', cookie: '', domain: null, handover: 'none', resumedMsAgo: null });
      else if (step === 'finish')
        json(res, 200, {
          outcome: 'committed',
          cookie: 'Y2Y=',
          domain: { uuid: 'u', name: 'web', state: 'running', reason: 'migrated' },
          handover: 'done',
          resumedMsAgo: 1,
        });
      else json(res, 200, { cookie: 'Y2Q=', uri: null });
    });
    const argv = ['migrate', 'web', target.url, '--live', '--managed', '--id', 'm1', '-c', source.url];
    return { source, target, argv, steps: () => asked.filter((step) => step !== 'version' && step !== 'events') };
  };

  const steps = ['begin', 'prepare-tunnel', 'perform', 'finish', 'confirm'];

  it('takes the five steps at both agents and ends with 0', async () => {
    const { argv, steps: taken, source, target } = await twoAgents();
    const { run, written } = shell();
    expect(await run(...argv)).toBe(0);
    expect(taken()).toEqual(steps);
    expect(written.out).toContain('web: succeeded');
    for (const agent of [source, target]) expect(agent.heard.filter((heard) => heard.method === 'DELETE')).toHaveLength(1);
    const begin = source.heard.find((heard) => heard.path.endsWith('/begin'));
    expect(begin?.body).toMatchObject({ domain: 'web', flags: ['LIVE', 'TUNNELLED', 'CHANGE_PROTECTION'] });
  });

  it('asks again after a 202 from Perform and from Finish', async () => {
    const count = { perform: 0, finish: 0 };
    const { argv, steps: taken } = await twoAgents({
      perform: (_, res) => (++count.perform < 3 ? void res.writeHead(202).end() : json(res, 200, { cookie: 'Y3A=' })),
      finish: (_, res) =>
        ++count.finish < 2
          ? void res.writeHead(202).end()
          : json(res, 200, {
              outcome: 'committed',
              cookie: '',
              domain: { uuid: 'u', name: 'web', state: 'running', reason: 'migrated' },
              handover: 'done',
              resumedMsAgo: 1,
            }),
    });
    expect(await shell().run(...argv)).toBe(0);
    expect(taken()).toEqual(['begin', 'prepare-tunnel', 'perform', 'perform', 'perform', 'finish', 'finish', 'confirm']);
  });

  it('whose Finish reply is lost goes to Confirm; the record decides', async () => {
    const { argv, steps: taken, source } = await twoAgents({ finish: (_, res) => void res.destroy() });
    const { run, written } = shell();
    expect(await run(...argv)).toBe(0);
    expect(taken()).toEqual(steps);
    expect(source.heard.find((heard) => heard.path.endsWith('/confirm'))?.body).toMatchObject({ cancelled: true, cookie: '' });
    expect(written.out).toContain('the guest is on the destination');
  });

  it('is cancelled at the source-agent by Ctrl-C: 130', async () => {
    const performing = happening();
    let failPerform: () => void = () => undefined;
    const { argv, steps: taken } = await twoAgents({
      perform: (_, res) => {
        failPerform = () => problem(res, 409, 'migration-cancelled');
        performing.happened();
      },
      cancel: (_, res) => {
        json(res, 202, migrationOf({ state: 'CANCELLING' }));
        failPerform();
      },
      end: () => cancelled,
    });
    const { run, signal, written } = shell();
    const done = run(...argv);
    await performing.promise;
    signal('SIGINT');
    expect(await done).toBe(130);
    expect(taken()).toEqual(['begin', 'prepare-tunnel', 'perform', 'cancel', 'finish', 'confirm']);
    expect(written.err).toContain('(migration-cancelled)\n  in perform at the source');
  });

  it('is left to the agents by the second Ctrl-C, its sessions ended', async () => {
    const performing = happening();
    const { argv, source, target } = await twoAgents({
      perform: () => performing.happened(),
      cancel: (_, res) => json(res, 202, migrationOf()),
    });
    const { clock, skip } = skippingClock();
    const { run, signal } = shell({ clock });
    const done = run(...argv);
    await performing.promise;
    signal('SIGINT');
    skip(600);
    signal('SIGINT');
    expect(await done).toBe(130);
    for (const agent of [source, target]) expect(agent.heard.filter((heard) => heard.method === 'DELETE')).toHaveLength(1);
  });

  it('is refused before any step when a URL is of the wrong app', async () => {
    const { argv, source, steps: taken } = await twoAgents();
    const stranger = await scriptedAgent((_, res) => json(res, 200, versionOf('tunnel-relay', 'host-c')));
    for (const [url, wrong] of [
      [stranger.url, 'the tunnel-relay of host-c; give the URL of its destination-agent. (peer-protocol)'],
      [source.url, "give the URL of another host's destination-agent. (same-host)"],
    ] as const) {
      const { run, written } = shell();
      expect(await run(...argv.map((word, index) => (index === 2 ? url : word)))).toBe(1);
      expect(written.err).toContain(wrong);
    }
    expect(taken()).toEqual([]);
  });
});
