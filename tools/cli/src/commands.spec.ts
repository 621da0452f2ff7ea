import { describe, expect, it } from 'vitest';
import { cancelled, domainOf, failed, migrationOf, succeeded } from './spec/fixtures.js';
import { json, problem, scriptedAgent } from './spec/scripted-agent.js';
import { shell } from './spec/shell.js';

const xml = '<domain/>';
const files = { 'web.xml': xml };

/** Answers every request with what a route of this shape answers. */
const obliging = () =>
  scriptedAgent(({ method, path }, res) => {
    if (method === 'DELETE') res.writeHead(204).end();
    else if (path === '/v1/domains' && method === 'GET')
      json(res, 200, { domains: [domainOf(), domainOf({ name: 'off', state: 'shutoff', reason: 'shutdown', pid: null })] });
    else if (path.endsWith('/xml')) json(res, 200, { xml });
    else if (path.startsWith('/v1/domains')) json(res, 200, domainOf());
    else if (method === 'GET' && /^\/v1\/migrations(\?|$)/.test(path))
      json(res, 200, { migrations: [succeeded], nextCursor: null });
    else json(res, 200, migrationOf());
  });

describe('what a command line asks of the agent', () => {
  it.each<[string, string, string, unknown]>([
    ['domain define web.xml', 'POST', '/v1/domains', { xml }],
    ['domain create web.xml --paused', 'POST', '/v1/domains', { xml, transient: true, paused: true }],
    ['domain create web.xml', 'POST', '/v1/domains', { xml, transient: true, paused: false }],
    ['domain start web', 'POST', '/v1/domains/web/start', { paused: false }],
    ['domain start web --paused', 'POST', '/v1/domains/web/start', { paused: true }],
    ['domain list', 'GET', '/v1/domains', null],
    ['domain show web', 'GET', '/v1/domains/web', null],
    ['domain show ../version', 'GET', '/v1/domains/..%2Fversion', null],
    ['domain dumpxml web', 'GET', '/v1/domains/web/xml', null],
    ['domain suspend web', 'POST', '/v1/domains/web/suspend', null],
    ['domain resume web', 'POST', '/v1/domains/web/resume', null],
    ['domain shutdown web', 'POST', '/v1/domains/web/shutdown', null],
    ['domain destroy web', 'POST', '/v1/domains/web/destroy', null],
    ['domain undefine web', 'DELETE', '/v1/domains/web', null],
    ['migration list --state needs-attention --domain web', 'GET', '/v1/migrations?state=NEEDS_ATTENTION&domain=web', null],
    ['migration show m1', 'GET', '/v1/migrations/m1', null],
    ['migration cancel m1', 'POST', '/v1/migrations/m1/cancel', null],
    [
      'migration set m1 --bandwidth 8 --downtime 300',
      'PATCH',
      '/v1/migrations/m1/parameters',
      { bandwidthMibPerSec: 8, downtimeMsMax: 300 },
    ],
    ['migration set m1 --downtime 1', 'PATCH', '/v1/migrations/m1/parameters', { downtimeMsMax: 1 }],
    [
      'migration set m1 --timeout 60 --timeout-per-gib 10 --stall-timeout 5 --timeout-action pause',
      'PATCH',
      '/v1/migrations/m1/parameters',
      { timeouts: { totalSeconds: 60, secondsPerGib: 10, stallSeconds: 5, action: 'pause' } },
    ],
    ['migration force-complete m1', 'POST', '/v1/migrations/m1/force-complete', { strategy: 'pause' }],
    [
      'migrate web http://b:7802 --detach --id m1 --timeout 60 --timeout-suspend',
      'POST',
      '/v1/migrations',
      {
        ...{ id: 'm1', domain: 'web', destination: 'http://b:7802', flags: ['PEER2PEER', 'TUNNELLED'] },
        timeouts: { totalSeconds: 60, action: 'pause' },
      },
    ],
    ['migration forget m1', 'DELETE', '/v1/migrations/m1', null],
    [
      'migration resolve m1 --keep destination --proof host-a-is-off',
      'POST',
      '/v1/migrations/m1/resolve',
      { keep: 'destination', proof: 'host-a-is-off' },
    ],
    [
      'migrate web http://b:7802 --detach --id m1 --live --persistent --undefinesource --suspend --dname web2 --xml web.xml --bandwidth 8 --downtime 300',
      'POST',
      '/v1/migrations',
      {
        id: 'm1',
        domain: 'web',
        destination: 'http://b:7802',
        flags: ['LIVE', 'PEER2PEER', 'TUNNELLED', 'PERSIST_DEST', 'UNDEFINE_SOURCE', 'PAUSED'],
        destinationName: 'web2',
        xml,
        bandwidthMibPerSec: 8,
        downtimeMsMax: 300,
      },
    ],
    [
      'migrate web http://b:7802/ --detach --id m1',
      'POST',
      '/v1/migrations',
      { id: 'm1', domain: 'web', destination: 'http://b:7802', flags: ['PEER2PEER', 'TUNNELLED'] },
    ],
    [
      'migrate web http://b:7802 --detach --id m1 --p2p --direct',
      'POST',
      '/v1/migrations',
      { id: 'm1', domain: 'web', destination: 'http://b:7802', flags: ['PEER2PEER'] },
    ],
  ])('%s', async (line, method, path, body) => {
    const agent = await obliging();
    const { run, written } = shell({ files });
    expect({ code: await run(...line.split(' '), '-c', agent.url), err: written.err }).toEqual({ code: 0, err: '' });
    expect(agent.heard.map((heard) => [heard.method, heard.path, heard.body])).toEqual([[method, path, body]]);
  });
});

describe('usage errors end with 2 before anything is sent', () => {
  it.each([
    [''],
    ['frobnicate'],
    ['domain'],
    ['domain start'],
    ['domain start web --frobnicate'],
    ['domain start web extra'],
    ['domain define missing.xml'],
    ['migrate web'],
    ['migrate web b:7802'],
    ['migrate web ftp://b'],
    ['migrate web http://user:secret@b:7802'],
    ['migrate web http://b:7802 --p2p --managed'],
    ['migrate web http://b:7802 --tunnelled --direct'],
    ['migrate web http://b:7802 --managed --detach'],
    ['migrate web http://b:7802 --bandwidth 0'],
    ['migrate web http://b:7802 --bandwidth 1048577'],
    ['migrate web http://b:7802 --bandwidth 8MiB'],
    ['migrate web http://b:7802 --downtime 60001'],
    ['migrate web http://b:7802 --downtime 1.5'],
    ['migrate web http://b:7802 --timeout 0'],
    ['migrate web http://b:7802 --timeout-action postcopy'],
    ['migrate web http://b:7802 --timeout-suspend --timeout-action cancel'],
    ['migrate web http://b:7802 --dname a/b'],
    ['migrate web http://b:7802 --id ../m1'],
    ['event --after x'],
    ['event --after -1'],
    ['migration show m/1'],
    ['migration list --state lost'],
    ['migration set m1'],
    ['migration resolve m1 --keep source'],
    ['migration resolve m1 --keep both --proof long-enough-text'],
    ['migration resolve m1 --keep source --proof short'],
    ['host up'],
    ['host up --state-dir /tmp/x --port-base 65533'],
    ['host up --state-dir /tmp/x --listen 127.0.0.1:80/x'],
    ['host up --state-dir /tmp/x --session-ttl-seconds 301'],
  ])('%s', async (line) => {
    const agent = await obliging();
    const { run, written } = shell({ env: { VMFERRY_URL: agent.url } });
    expect(await run(...line.split(' ').filter((word) => word !== ''))).toBe(2);
    expect(agent.heard).toEqual([]);
    expect(written.err).not.toBe('');
    expect(written.err).not.toMatch(/\n\s+at /);
  });

  it.each(['domain start', 'migrate web b:7802', 'migration set m1', 'frobnicate', 'domain define missing.xml'])(
    '%s --json: one problem document on stderr, and nothing else',
    async (line) => {
      const { run, written } = shell();
      expect(await run(...line.split(' '), '--json')).toBe(2);
      expect(written.out).toBe('');
      const { error } = JSON.parse(written.err) as { error: Record<string, unknown> };
      expect(error).toMatchObject({ code: 'invalid-argument', status: 422, detail: expect.not.stringMatching(/^error:/) });
    },
  );

  it('a URL in the environment is checked like one on the command line', async () => {
    const { run, written } = shell({ env: { VMFERRY_URL: 'b:7801' } });
    expect(await run('domain', 'list')).toBe(2);
    expect(written.err).toContain('VMFERRY_URL');
  });
});

describe('help', () => {
  const leaves = [
    'host up',
    ...['define', 'create', 'list', 'show', 'dumpxml', 'start', 'suspend', 'resume', 'shutdown', 'destroy', 'undefine'].map(
      (name) => `domain ${name}`,
    ),
    'event',
    'migrate',
    ...['list', 'show', 'watch', 'cancel', 'set', 'force-complete', 'forget', 'resolve'].map((name) => `migration ${name}`),
  ];
  it.each(leaves)('of %s has examples and ends with 0', async (leaf) => {
    const { run, written } = shell();
    expect(await run(...leaf.split(' '), '--help')).toBe(0);
    expect(written.out).toContain(`Usage: vmferry ${leaf}`);
    expect(written.out).toContain(`Examples:\n  $ vmferry ${leaf}`);
    expect(written.out).toContain('--json');
  });

  it.each([
    ['migration resolve', ['--keep', '--proof']],
    ['host up', ['--state-dir']],
    ['migrate', []],
  ])('of %s marks the options that it does not go without', async (leaf, required) => {
    const { run, written } = shell();
    await run(...leaf.split(' '), '--help');
    const marked = [...written.out.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)(?:(?!^ {2}-)[\s\S])*?\(required\)/gm)].map(
      ([, name]) => name,
    );
    expect(marked).toEqual(required);
  });

  it('names the unit of each number', async () => {
    const { run, written } = shell();
    await run('migrate', '--help');
    expect(written.out).toMatch(/--bandwidth <MiB\/s>.*MiB\/s, 1 to 1048576/);
    expect(written.out).toMatch(/--downtime <ms>.*milliseconds, 1 to 60000/);
  });
});

describe('answers', () => {
  it("are tables like virsh's, without the domains that are shut off", async () => {
    const agent = await obliging();
    const { run, written } = shell();
    await run('domain', 'list', '-c', agent.url);
    expect(written.out).toBe(' Pid    Name   State\n---------------------------\n 4711   web    running\n');
    written.out = '';
    await run('domain', 'list', '--all', '-c', agent.url);
    expect(written.out).toContain(' -      off    shut off\n');
  });

  it("are the agent's own words with --json", async () => {
    const agent = await obliging();
    const { run, written } = shell();
    await run('domain', 'show', 'web', '--json', '-c', agent.url);
    expect(JSON.parse(written.out)).toEqual(domainOf());
  });

  it('show what is true of a migration that ended before it was permitted, and which downtime limit is whose', async () => {
    const agent = await scriptedAgent((_, res) => json(res, 200, { ...cancelled, outcome: null }));
    const { run, written } = shell();
    await run('migration', 'show', 'm1', '-c', agent.url);
    expect(written.out).toMatch(/^Outcome: +not asked: the destination was never permitted to run the guest$/m);
    expect(written.out).toMatch(/^Downtime limit: +at most 300 ms; QEMU's own is 10 ms now$/m);
  });

  it('show all that is known of a migration', async () => {
    const agent = await scriptedAgent((_, res) =>
      json(res, 200, { ...failed, held: { reason: 'no answer', since: failed.createdAt, hint: 'fence it' } }),
    );
    const { run, written } = shell();
    expect(await run('migration', 'show', 'm1', '-c', agent.url)).toBe(0);
    for (const text of ['Guest on:', 'source', 'stream-failed', 'fence it', 'perform at the source', 'host-b'])
      expect(written.out).toContain(text);
  });

  it('come from the URL of -c, else of VMFERRY_URL, with the token of VMFERRY_TOKEN', async () => {
    const [agent, other] = [await obliging(), await obliging()];
    const { run } = shell({ env: { VMFERRY_URL: agent.url, VMFERRY_TOKEN: 'secret' } });
    await run('domain', 'list');
    expect(agent.heard[0]?.headers.authorization).toBe('Bearer secret');
    await run('domain', 'list', '-c', other.url);
    expect([agent.heard.length, other.heard.length]).toEqual([1, 1]);
  });

  it('are all pages of a list', async () => {
    const agent = await scriptedAgent(({ path }, res) =>
      json(
        res,
        200,
        path.includes('cursor=') ? { migrations: [failed], nextCursor: null } : { migrations: [succeeded], nextCursor: 'next' },
      ),
    );
    const { run, written } = shell();
    await run('migration', 'list', '--json', '-c', agent.url);
    expect((JSON.parse(written.out) as { migrations: unknown[] }).migrations).toHaveLength(2);
  });
});

describe('errors of the API', () => {
  it('are one message with code, faulty fields and a hint, and end with 1', async () => {
    const agent = await scriptedAgent((_, res) =>
      problem(res, 404, 'domain-not-found', { errors: [{ path: '/domain', code: 'domain-not-found', detail: 'no web' }] }),
    );
    const { run, written } = shell();
    expect(await run('domain', 'start', 'web', '-c', agent.url)).toBe(1);
    expect(written).toEqual({
      out: '',
      err: 'error: because of domain-not-found (domain-not-found)\n  /domain: no web (domain-not-found)\n  hint: `vmferry domain list --all` shows the domains of this host\n',
    });
  });

  it('are problem documents on stderr with --json', async () => {
    const agent = await scriptedAgent((_, res) => problem(res, 409, 'domain-running'));
    const { run, written } = shell();
    expect(await run('domain', 'start', 'web', '--json', '-c', agent.url)).toBe(1);
    expect(JSON.parse(written.err)).toMatchObject({ error: { code: 'domain-running', status: 409 } });
  });

  it('tell of an agent that is not there', async () => {
    const agent = await obliging();
    await agent.kill();
    const { run, written } = shell();
    expect(await run('domain', 'list', '-c', agent.url)).toBe(1);
    expect(written.err).toMatch(/^error: .*does not answer.*\(peer-unreachable\)\n {2}hint: is the agent of that URL up\?/);
  });

  it('refuse a definition over 1 MiB before it is sent', async () => {
    const agent = await obliging();
    const { run, written } = shell({ files: { 'big.xml': 'x'.repeat(1_048_577) } });
    expect(await run('domain', 'define', 'big.xml', '-c', agent.url)).toBe(1);
    expect(written.err).toContain('(xml-too-large)');
    expect(agent.heard).toEqual([]);
  });
});
