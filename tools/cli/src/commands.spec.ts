import { describe, expect, it } from 'vitest';
import { cancelled, domainOf, failed, migrationOf, succeeded } from './spec/fixtures.js';
import { json, problem, scriptedAgent } from './spec/scripted-agent.js';
import { shell } from './spec/shell.js';

const xml = '<domain/>';
const lease = '6f3a6bb4-7d9c-4e0e-9b6e-5f2a3c1d8e01';
const files = { 'web.xml': xml };

const amount = { totalBytes: 83_886_080, processedBytes: 41_943_040, remainingBytes: 41_943_040 };
const report = {
  type: 'bounded',
  kind: 'migration-out',
  phase: 'perform3',
  startedAt: '2026-01-01T00:00:00.000Z',
  timeElapsedMs: 1_230,
  timeRemainingMs: 2_000,
  data: amount,
  memory: amount,
  file: amount,
};
const answersOf: Record<string, unknown> = {
  '/v1/domains/web/block-stats': {
    disks: [{ target: 'vda', readBytes: 512, readRequests: 1, writeBytes: 0, writeRequests: 0, flushRequests: 0 }],
  },
  '/v1/domains/web/block-info': {
    disks: [{ target: 'vda', path: '/srv/web.img', capacityBytes: 1_024, allocationBytes: null, physicalBytes: 1_024 }],
  },
  '/v1/domains/web/memory-stats': { actualKib: 81_920, maximumKib: 81_920, balloon: true, rssKib: 40_960, unknown: 'not polled' },
  '/v1/domains/web/job': { current: report, last: { ...report, type: 'failed', timeRemainingMs: null } },
};

/** Answers every request with what a route of this shape answers. */
const obliging = () =>
  scriptedAgent(({ method, path }, res) => {
    if (method === 'DELETE') res.writeHead(204).end();
    else if (path === '/v1/domains' && method === 'GET')
      json(res, 200, { domains: [domainOf(), domainOf({ name: 'off', state: 'shutoff', reason: 'shutdown', pid: null })] });
    else if (path.endsWith('xml')) json(res, 200, { xml });
    else if (path.endsWith('/monitor')) json(res, 200, { return: { status: 'running' } });
    else if (path.startsWith('/v1/leases/')) json(res, 200, { uuid: lease, driver: 'etcd', epoch: '7', heldHere: false });
    else if (answersOf[path] !== undefined) json(res, 200, answersOf[path]);
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
    ['domain start web --force', 'POST', '/v1/domains/web/start', { paused: false, force: true }],
    ['domain create web.xml --force', 'POST', '/v1/domains', { xml, transient: true, paused: false, force: true }],
    [`lease show ${lease}`, 'GET', `/v1/leases/${lease}`, null],
    [
      `lease break ${lease} --epoch 7 --fenced-by=ipmi-says-off`,
      'POST',
      `/v1/leases/${lease}/break`,
      { epoch: '7', proof: { t: 'fenced', by: 'ipmi-says-off' } },
    ],
    [
      `lease break ${lease} --epoch 7 --statement=ops-have-looked`,
      'POST',
      `/v1/leases/${lease}/break`,
      { epoch: '7', proof: { t: 'operator', statement: 'ops-have-looked' } },
    ],
    ['domain list', 'GET', '/v1/domains', null],
    ['domain show web', 'GET', '/v1/domains/web', null],
    ['domain show ../version', 'GET', '/v1/domains/..%2Fversion', null],
    ['domain dumpxml web', 'GET', '/v1/domains/web/xml', null],
    ['domain dumpxml web --security-info', 'GET', '/v1/domains/web/secure-xml', null],
    ['domain suspend web', 'POST', '/v1/domains/web/suspend', null],
    ['domain resume web', 'POST', '/v1/domains/web/resume', null],
    ['domain shutdown web', 'POST', '/v1/domains/web/shutdown', null],
    ['domain destroy web', 'POST', '/v1/domains/web/destroy', null],
    ['domain undefine web', 'DELETE', '/v1/domains/web', null],
    ['domain blkstat web', 'GET', '/v1/domains/web/block-stats', null],
    ['domain blkinfo web', 'GET', '/v1/domains/web/block-info', null],
    ['domain memstat web', 'GET', '/v1/domains/web/memory-stats', null],
    ['domain jobinfo web', 'GET', '/v1/domains/web/job', null],
    ['domain jobabort web', 'POST', '/v1/domains/web/job/abort', null],
    ['domain attach web.xml --pid 7 --monitor /run/m', 'POST', '/v1/domains/attach', { xml, pid: 7, monitor: '/run/m' }],
    [
      'domain qemu-monitor-command web {"execute":"query-status"}',
      'POST',
      '/v1/domains/web/monitor',
      { execute: 'query-status', arguments: {} },
    ],
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
    [
      'migrate web http://b:7802 --offline --persistent --undefinesource --detach --id m1',
      'POST',
      '/v1/migrations',
      {
        ...{ id: 'm1', domain: 'web', destination: 'http://b:7802' },
        flags: ['PEER2PEER', 'PERSIST_DEST', 'UNDEFINE_SOURCE', 'OFFLINE'],
      },
    ],
    [
      'migrate web http://b:7802 --parallel --parallel-connections 4 --detach --id m1',
      'POST',
      '/v1/migrations',
      {
        ...{ id: 'm1', domain: 'web', destination: 'http://b:7802', parallelConnections: 4 },
        flags: ['PEER2PEER', 'TUNNELLED', 'PARALLEL'],
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
      'migrate web http://b:7802 --detach --id m1 --direct --migrateuri http://b-fast:7802 --listen-address 10.0.0.2',
      'POST',
      '/v1/migrations',
      {
        id: 'm1',
        domain: 'web',
        destination: 'http://b:7802',
        flags: ['PEER2PEER'],
        uri: 'http://b-fast:7802',
        listenAddress: '10.0.0.2',
      },
    ],
    [
      'migrate web http://b:7802 --detach --id m1 --live --tls --migrateuri tcp:b-fast:49152',
      'POST',
      '/v1/migrations',
      {
        ...{ id: 'm1', domain: 'web', destination: 'http://b:7802', uri: 'tcp:b-fast:49152' },
        flags: ['LIVE', 'PEER2PEER', 'TLS'],
      },
    ],
    [
      'migrate web http://b:7802 --detach --id m1 --migrateuri tcp:b-fast',
      'POST',
      '/v1/migrations',
      { id: 'm1', domain: 'web', destination: 'http://b:7802', flags: ['PEER2PEER'], uri: 'tcp:b-fast' },
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
    [`lease break ${lease} --epoch 7`],
    [`lease break ${lease} --statement=ops-have-looked`],
    [`lease break ${lease} --epoch 7 --statement=short`],
    [`lease break ${lease} --epoch 7 --statement=ops-have-looked --watchdog=it-has-fired`],
    ['lease break web --epoch 7 --statement=ops-have-looked'],
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
    ['migrate web http://b:7802/v1/migrations/m1/stream'],
    ['migrate web http://b:7802 --migrateuri tcp:b:0'],
    ['migrate web http://b:7802 --migrateuri tcp:b:49152,to=9'],
    ['migrate web http://b:7802 --tls --tunnelled'],
    ['migrate web http://b:7802 --tls --parallel'],
    ['migrate web http://b:7802 --tls --offline --persistent'],
    ['migrate web http://b:7802 --migrateuri exec:true'],
    ['migrate web http://b:7802 --migrateuri http://b:7802/v1/migrations/m1/stream'],
    ['migrate web http://b:7802 --listen-address b'],
    ['migrate web http://b:7802 --id ../m1'],
    ['migrate web http://b:7802 --offline --persistent --tunnelled'],
    ['migrate web http://b:7802 --offline --persistent --suspend'],
    ['migrate web http://b:7802 --offline --persistent --bandwidth 8'],
    ['migrate web http://b:7802 --offline --persistent --timeout 8'],
    ['migration check web http://b:7802 --offline --persistent --downtime 8'],
    ['event --after x'],
    ['event --after -1'],
    ['migration show m/1'],
    ['migration list --state lost'],
    ['migration set m1'],
    ['migration resolve m1 --keep source'],
    ['migration resolve m1 --keep both --proof long-enough-text'],
    ['migration resolve m1 --keep source --proof short'],
    ['domain attach web.xml --pid 7'],
    ['domain attach web.xml --pid 0 --monitor /run/m'],
    ['domain attach web.xml --pid 7 --monitor run/m'],
    ['domain qemu-monitor-command web query-status'],
    ['domain qemu-monitor-command web {}'],
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
    ...['blkstat', 'blkinfo', 'memstat', 'jobinfo', 'jobabort', 'attach', 'qemu-monitor-command'].map((name) => `domain ${name}`),

    'migrate',
    ...['list', 'show', 'watch', 'check', 'cancel', 'set', 'force-complete', 'forget', 'resolve'].map(
      (name) => `migration ${name}`,
    ),
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

  it('of a domain at work name every disk, its memory and its job', async () => {
    const agent = await obliging();
    const { run, written } = shell();
    for (const question of ['blkstat', 'blkinfo', 'memstat', 'jobinfo']) await run('domain', question, 'web', '-c', agent.url);
    expect(written.out).toBe(
      [
        ' Target   Reads   Bytes read   Writes   Bytes written   Flushes',
        '-'.repeat(65),
        ' vda      1       512          0        0               0',
        ' Target   Capacity   Allocation   Physical   Source',
        '-'.repeat(59),
        ' vda      1024       -            1024       /srv/web.img',
        'Actual:    80.0 MiB (balloon)',
        'Maximum:   80.0 MiB',
        'Resident:  40.0 MiB',
        'Unknown:   not polled',
        'Job:               migration-out, bounded, in phase perform3',
        '  Time elapsed:    1.23 s',
        '  Time remaining:  2.00 s',
        '  Memory:          40.0 MiB of 80.0 MiB, 40.0 MiB left',
        'Last job:          migration-out, failed, in phase perform3',
        '  Time elapsed:    1.23 s',
        '  Memory:          40.0 MiB of 80.0 MiB, 40.0 MiB left',
        '',
      ].join('\n'),
    );
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

  it('tell where a display is, and where its clients go on', async () => {
    const display = { type: 'spice', listen: '0.0.0.0', port: 5_901, tlsPort: 5_902 } as const;
    const migration = migrationOf({ display: { ...display, hostName: 'host-b' } });
    const agent = await scriptedAgent(({ path }, res) =>
      json(res, 200, path.includes('migrations') ? migration : domainOf({ display })),
    );
    const { run, written } = shell();
    await run('domain', 'show', 'web', '-c', agent.url);
    await run('migration', 'show', 'm1', '-c', agent.url);
    expect(written.out).toMatch(/^Display: +spice, 0\.0\.0\.0, port 5901, TLS port 5902$/m);
    expect(written.out).toMatch(/^Display there: +spice, host-b, port 5901, TLS port 5902$/m);
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

describe('a check', () => {
  const basis = { memoryBytes: 134_217_728, dirtyRateBytesPerSec: 1_048_576, bandwidthBytesPerSec: null, downtimeMsMax: 300 };
  const none = { durationMs: null, downtimeMs: null, converges: null, reason: 'no bandwidth is known', basis };
  const free = { ok: true, blockers: [], warnings: [], forecast: { ...none, durationMs: 1_500, downtimeMs: 4, converges: true } };
  const blocked = {
    ok: false,
    blockers: [{ code: 'label-failed', side: 'destination', detail: '/d is missing', path: '/d' }],
    warnings: [{ code: 'not-live', side: 'source', detail: 'it stands still' }],
    forecast: none,
  };

  it.each([
    [free, 0, /Can be migrated: +yes.*Duration: +1.50 s.*4 ms and the switch.*Converges: +yes/s],
    [blocked, 1, /^blocked at the destination: .d is missing \(label-failed\)\nwarning for the source: it stands still/],
  ])('takes the options of migrate, and its exit code tells whether it is free: %#', async (answer, code, text) => {
    const agent = await scriptedAgent((_, res) => json(res, 200, answer));
    const { run, written } = shell();
    const line = 'migration check web http://b:7802 --live --direct --bandwidth 8 --timeout 9 --id m1';
    expect(await run(...line.split(' '), '-c', agent.url)).toBe(code);
    expect(written.out).toMatch(text);
    const body = { id: 'm1', domain: 'web', destination: 'http://b:7802', flags: ['LIVE', 'PEER2PEER'], bandwidthMibPerSec: 8 };
    expect(agent.heard.map((heard) => [heard.method, heard.path, heard.body])).toEqual([
      ['POST', '/v1/migrations/check', { ...body, timeouts: { totalSeconds: 9 } }],
    ]);
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
